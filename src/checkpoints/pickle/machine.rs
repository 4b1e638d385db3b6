//! The stack machine. Opcodes: Python's `Lib/pickletools.py`.

use std::{collections::HashMap, fmt::Display};

use super::{Id, Input, Object, Pickle, Rules, Run, Value, opcode};
use crate::error::{Error, Result};

/// Most instructions in a pickle. The largest video networks with the state of their optimiser need some hundred
/// thousand; an object takes less than 200 bytes of memory, so a hostile file can ask for no more than 200 MB.
const MAX_INSTRUCTIONS: usize = 1 << 20;

/// A pickle being carried out.
pub(super) struct Machine<'a> {
    input: Input<'a>,
    /// Where the instruction being carried out begins.
    instruction: u64,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    rules: &'a Rules,
}

impl<'a> Machine<'a> {
    /// A machine before the first instruction.
    pub fn new(input: Input<'a>, rules: &'a Rules) -> Machine<'a> {
        Machine {
            input,
            instruction: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            rules,
        }
    }

    /// Carries out everything up to the end of the pickle.
    pub fn run(mut self) -> Result<Pickle> {
        for _ in 0..MAX_INSTRUCTIONS {
            self.instruction = self.input.position();
            let code = self.byte("an instruction")?;
            if code == opcode::STOP {
                let root = self.pop()?;
                let (objects, names) = (self.objects, self.rules.names);
                return Ok(Pickle { objects, names, root, end: self.input.position() });
            }
            self.step(code)?;
        }
        Err(self.wrong(format!("the pickle has more than {MAX_INSTRUCTIONS} instructions")))
    }

    fn step(&mut self, code: u8) -> Result<()> {
        match code {
            opcode::PROTO => {
                let protocol = self.byte("the protocol")?;
                if !(2..=5).contains(&protocol) {
                    return Err(self.wrong(format!("pickle protocol {protocol}; 2 to 5 are read")));
                }
            }
            opcode::FRAME => {
                let length = self.integer(8, "the length of a frame")?;
                self.check_left(length, "a frame")?;
            }
            opcode::MARK => self.marks.push(self.stack.len()),
            opcode::POP => self.pop_or_unmark()?,
            opcode::POP_MARK => drop(self.pop_to_mark()?),
            opcode::DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            opcode::NONE => self.push(Value::None),
            opcode::NEWTRUE => self.push(Value::Bool(true)),
            opcode::NEWFALSE => self.push(Value::Bool(false)),
            opcode::BININT1
            | opcode::BININT2
            | opcode::BININT
            | opcode::INT
            | opcode::LONG
            | opcode::LONG1
            | opcode::LONG4
            | opcode::BINFLOAT => self.number(code)?,
            opcode::SHORT_BINUNICODE | opcode::BINUNICODE | opcode::BINUNICODE8 => {
                let text = self.counted(code, "text")?;
                if text.near.as_deref().is_some_and(|text| std::str::from_utf8(text).is_err()) {
                    return Err(self.wrong("text that is not UTF-8"));
                }
                self.push(Value::Text(text));
            }
            opcode::SHORT_BINBYTES
            | opcode::BINBYTES
            | opcode::BINBYTES8
            | opcode::BYTEARRAY8
            | opcode::SHORT_BINSTRING
            | opcode::BINSTRING => {
                let bytes = self.counted(code, "a byte string")?;
                self.push(Value::Bytes(bytes));
            }
            opcode::EMPTY_TUPLE | opcode::TUPLE | opcode::TUPLE1..=opcode::TUPLE3 => {
                self.tuple(code)?
            }
            opcode::EMPTY_LIST | opcode::EMPTY_SET => self.push(Value::List(Vec::new())),
            opcode::LIST | opcode::FROZENSET => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            opcode::APPEND | opcode::APPENDS | opcode::ADDITEMS => self.append(code)?,
            opcode::EMPTY_DICT => self.push(Value::Dict(Vec::new())),
            opcode::DICT | opcode::SETITEM | opcode::SETITEMS => self.set_items(code)?,
            opcode::GLOBAL | opcode::STACK_GLOBAL | opcode::INST => self.global(code)?,
            opcode::REDUCE | opcode::NEWOBJ => {
                let arguments = self.pop()?;
                self.call(arguments)?;
            }
            opcode::NEWOBJ_EX => {
                let (_keywords, arguments) = (self.pop()?, self.pop()?);
                self.call(arguments)?;
            }
            opcode::BINPERSID if self.rules.persistent => {
                let name = self.pop()?;
                self.push(Value::Persistent(name));
            }
            opcode::BUILD => self.build()?,
            opcode::BINPUT | opcode::LONG_BINPUT | opcode::MEMOIZE => {
                let key = match code {
                    opcode::BINPUT => self.integer(1, "a memo number")?,
                    opcode::LONG_BINPUT => self.integer(4, "a memo number")?,
                    _ => self.memo.len() as u64,
                };
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            opcode::BINGET | opcode::LONG_BINGET => {
                let key =
                    self.integer(if code == opcode::BINGET { 1 } else { 4 }, "a memo number")?;
                let id = self.memo.get(&key).copied();
                self.stack
                    .push(id.ok_or_else(|| self.wrong(format!("nothing was kept as {key}")))?);
            }
            other => return Err(self.wrong(format!("instruction 0x{other:02x} is not read here"))),
        }
        Ok(())
    }

    fn number(&mut self, code: u8) -> Result<()> {
        let value = match code {
            opcode::BININT1 => Value::Int(self.integer(1, "an integer")? as i64),
            opcode::BININT2 => Value::Int(self.integer(2, "an integer")? as i64),
            opcode::BININT => Value::Int(i64::from(self.integer(4, "an integer")? as u32 as i32)),
            // Python 2 writes what takes more than 32 bits as decimal digits.
            opcode::INT | opcode::LONG => {
                let line = self.line("an integer")?;
                let digits = line.trim_end_matches('L');
                let unsigned = digits.strip_prefix('-').unwrap_or(digits);
                if unsigned.is_empty() || !unsigned.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(self.wrong("an integer that is no number"));
                }
                digits.parse().map_or(Value::LongInt, Value::Int)
            }
            opcode::BINFLOAT => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(self.take(8, "a number")?);
                Value::Float(f64::from_be_bytes(bytes))
            }
            _ => {
                let width = if code == opcode::LONG1 { 1 } else { 4 };
                let length = self.integer(width, "the length of an integer")?;
                self.check_left(length, "an integer")?;
                let digits = self.input.run(length)?;
                match digits.near.as_deref() {
                    Some(digits) if digits.len() <= 8 => {
                        // Two's complement, least significant byte first.
                        let negative = digits.last().is_some_and(|byte| *byte >= 0x80);
                        let mut bytes = [if negative { 0xff } else { 0 }; 8];
                        bytes[..digits.len()].copy_from_slice(digits);
                        Value::Int(i64::from_le_bytes(bytes))
                    }
                    _ => Value::LongInt,
                }
            }
        };
        self.push(value);
        Ok(())
    }

    fn tuple(&mut self, code: u8) -> Result<()> {
        let items = match code {
            opcode::EMPTY_TUPLE => Vec::new(),
            opcode::TUPLE => self.pop_to_mark()?,
            _ => {
                let mut items = Vec::with_capacity(3);
                for _ in opcode::TUPLE1..=code {
                    items.push(self.pop()?);
                }
                items.reverse();
                items
            }
        };
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn append(&mut self, code: u8) -> Result<()> {
        let added = if code == opcode::APPEND { vec![self.pop()?] } else { self.pop_to_mark()? };
        let target = self.top()?;
        match &mut self.objects[target].value {
            Value::List(items) => items.extend(added),
            // A subclass of list, deque or set: no tensor of a network is in one.
            Value::Call { .. } => {}
            other => {
                let message = format!("items are appended to {other}, which is not a list");
                return Err(self.wrong(message));
            }
        }
        Ok(())
    }

    fn set_items(&mut self, code: u8) -> Result<()> {
        let added = match code {
            opcode::SETITEM => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        if added.len() % 2 != 0 {
            return Err(self.wrong("a key without a value"));
        }
        let pairs = added.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        if code == opcode::DICT {
            let pairs = pairs.collect();
            self.push(Value::Dict(pairs));
            return Ok(());
        }
        let target = self.top()?;
        match &mut self.objects[target].value {
            Value::Dict(items) | Value::Call { items, .. } => items.extend(pairs),
            other => {
                let message = format!("keys are set in {other}, which is not a dict");
                return Err(self.wrong(message));
            }
        }
        Ok(())
    }

    fn global(&mut self, code: u8) -> Result<()> {
        let (module, name) = if code == opcode::STACK_GLOBAL {
            let (name, module) = (self.pop()?, self.pop()?);
            (self.name(module)?, self.name(name)?)
        } else {
            (self.line("the name of a class")?, self.line("the name of a class")?)
        };
        let names = self.rules.names;
        let Some(global) = names.iter().position(|known| *known == (&*module, &*name)) else {
            // The name is the file's: it may be long.
            let asked: String = format!("{module}.{name}").chars().take(200).collect();
            let allowed = self.rules.allowed;
            return Err(self.wrong(format!("asks for {asked:?}; only {allowed} allowed")));
        };
        if code == opcode::INST {
            return Err(self.wrong("instruction 0x69 is not read here"));
        }
        self.push(Value::Global(global));
        Ok(())
    }

    /// Text that names a module or class.
    fn name(&self, id: Id) -> Result<String> {
        match &self.objects[id].value {
            Value::Text(Run { near: Some(text), .. }) => {
                Ok(String::from_utf8_lossy(text).into_owned())
            }
            other => Err(self.wrong(format!("a class is named by {other}"))),
        }
    }

    fn call(&mut self, arguments: Id) -> Result<()> {
        let callee = self.pop()?;
        match (&self.objects[callee].value, &self.objects[arguments].value) {
            (&Value::Global(global), Value::Tuple(_)) => {
                self.push(Value::Call { global, arguments, state: None, items: Vec::new() });
                Ok(())
            }
            (callee, arguments) => Err(self.wrong(format!("{callee} is called with {arguments}"))),
        }
    }

    fn build(&mut self) -> Result<()> {
        let new_state = self.pop()?;
        let target = self.top()?;
        match &mut self.objects[target].value {
            Value::Call { state: state @ None, .. } => *state = Some(new_state),
            other => {
                let message = format!("a state is given to {other}, which takes none here");
                return Err(self.wrong(message));
            }
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.objects.len());
        self.objects.push(Object { offset: self.instruction, value });
    }

    /// Height of the stack below which the open mark forbids to reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        match self.stack.last() {
            Some(id) if self.stack.len() > self.floor() => Ok(*id),
            _ => Err(self.wrong("an instruction needs more objects than there are")),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_or_unmark(&mut self) -> Result<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.wrong("a mark is missing"))?;
        // No instruction takes the stack below an open mark, so the mark is within it.
        Ok(self.stack.split_off(mark))
    }

    /// The bytes after a length, whose width the instruction tells.
    fn counted(&mut self, code: u8, what: &str) -> Result<Run> {
        let width = match code {
            opcode::SHORT_BINUNICODE | opcode::SHORT_BINBYTES | opcode::SHORT_BINSTRING => 1,
            opcode::BINUNICODE | opcode::BINBYTES | opcode::BINSTRING => 4,
            _ => 8,
        };
        let length = self.integer(width, what)?;
        self.check_left(length, what)?;
        self.input.run(length)
    }

    /// A little-endian integer of at most 8 bytes.
    fn integer(&mut self, width: usize, what: &str) -> Result<u64> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width as u64, what)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn byte(&mut self, what: &str) -> Result<u8> {
        Ok(self.take(1, what)?[0])
    }

    fn line(&mut self, what: &str) -> Result<String> {
        let line = self.input.line()?;
        let line = line.ok_or_else(|| self.wrong(format!("the file ends in {what}")))?;
        String::from_utf8(line).map_err(|_| self.wrong(format!("{what} is not UTF-8")))
    }

    /// At most 8 bytes.
    fn take(&mut self, length: u64, what: &str) -> Result<&[u8]> {
        self.check_left(length, what)?;
        self.input.take(length)
    }

    fn check_left(&self, length: u64, what: &str) -> Result<()> {
        let left = self.input.left();
        if length > left {
            let message = format!("the file ends in {what}: {length} bytes expected, {left} left");
            return Err(self.wrong(message));
        }
        Ok(())
    }

    fn wrong(&self, message: impl Display) -> Error {
        Error::format(format!("byte {}: {message}", self.instruction))
    }
}
