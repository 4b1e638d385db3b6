//! The stack machine. Opcodes: Python's `Lib/pickletools.py`.

use std::collections::HashMap;

use super::{Damage, Id, Object, Value, opcode};

/// Most instructions in a pickle. The largest video networks need some ten thousand; an object takes less than 100
/// bytes of memory, so a hostile file can ask for no more than 100 MB beyond its own size.
const MAX_INSTRUCTIONS: usize = 1 << 20;

/// A pickle being carried out.
pub(super) struct Machine<'a, 'b> {
    file: &'a [u8],
    position: usize,
    /// Where the instruction being carried out begins.
    instruction: usize,
    objects: Vec<Object<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    names: &'static [(&'static str, &'static str)],
    allowed: &'b str,
}

impl<'a, 'b> Machine<'a, 'b> {
    /// A machine at the beginning of the file.
    pub fn new(
        file: &'a [u8],
        names: &'static [(&'static str, &'static str)],
        allowed: &'b str,
    ) -> Machine<'a, 'b> {
        Machine {
            file,
            position: 0,
            instruction: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            names,
            allowed,
        }
    }

    /// All objects, and which of them is the outermost.
    pub fn run(mut self) -> Result<(Vec<Object<'a>>, Id), Damage> {
        for _ in 0..MAX_INSTRUCTIONS {
            self.instruction = self.position;
            let code = self.byte("an instruction")?;
            if code == opcode::STOP {
                let root = self.pop()?;
                let left = self.file.len() - self.position;
                return if left == 0 {
                    Ok((self.objects, root))
                } else {
                    Err(Damage::new(
                        self.position,
                        format!("{left} bytes follow the end of the pickle"),
                    ))
                };
            }
            self.step(code)?;
        }
        Err(self.wrong(format!("the pickle has more than {MAX_INSTRUCTIONS} instructions")))
    }

    fn step(&mut self, code: u8) -> Result<(), Damage> {
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
            | opcode::LONG1
            | opcode::BINFLOAT => self.number(code)?,
            opcode::SHORT_BINUNICODE | opcode::BINUNICODE | opcode::BINUNICODE8 => {
                let bytes = self.counted(code, "text")?;
                let text =
                    std::str::from_utf8(bytes).map_err(|_| self.wrong("text that is not UTF-8"))?;
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
            opcode::EMPTY_LIST => self.push(Value::List(Vec::new())),
            opcode::LIST => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            opcode::APPEND | opcode::APPENDS => self.append(code)?,
            opcode::EMPTY_DICT => self.push(Value::Dict(Vec::new())),
            opcode::DICT | opcode::SETITEM | opcode::SETITEMS => self.set_items(code)?,
            opcode::GLOBAL | opcode::STACK_GLOBAL | opcode::INST => self.global(code)?,
            opcode::REDUCE => self.reduce()?,
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

    fn number(&mut self, code: u8) -> Result<(), Damage> {
        let value = match code {
            opcode::BININT1 => Value::Int(self.integer(1, "an integer")? as i64),
            opcode::BININT2 => Value::Int(self.integer(2, "an integer")? as i64),
            opcode::BININT => Value::Int(i64::from(self.integer(4, "an integer")? as u32 as i32)),
            opcode::BINFLOAT => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(self.take(8, "a number")?);
                Value::Float(f64::from_be_bytes(bytes))
            }
            _ => {
                let length = self.byte("the length of an integer")?;
                let digits = self.take(u64::from(length), "an integer")?;
                if digits.len() > 8 {
                    return Err(self.wrong(format!("an integer of {length} bytes; 8 are read")));
                }
                // Two's complement, least significant byte first.
                let negative = digits.last().is_some_and(|byte| *byte >= 0x80);
                let mut bytes = [if negative { 0xff } else { 0 }; 8];
                bytes[..digits.len()].copy_from_slice(digits);
                Value::Int(i64::from_le_bytes(bytes))
            }
        };
        self.push(value);
        Ok(())
    }

    fn tuple(&mut self, code: u8) -> Result<(), Damage> {
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

    fn append(&mut self, code: u8) -> Result<(), Damage> {
        let added = if code == opcode::APPEND { vec![self.pop()?] } else { self.pop_to_mark()? };
        let target = self.top()?;
        match &mut self.objects[target].value {
            Value::List(items) => items.extend(added),
            other => {
                let message = format!("items are appended to {other}, which is not a list");
                return Err(self.wrong(message));
            }
        }
        Ok(())
    }

    fn set_items(&mut self, code: u8) -> Result<(), Damage> {
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
            Value::Dict(items) => items.extend(pairs),
            other => {
                let message = format!("keys are set in {other}, which is not a dict");
                return Err(self.wrong(message));
            }
        }
        Ok(())
    }

    fn global(&mut self, code: u8) -> Result<(), Damage> {
        let (module, name) = if code == opcode::STACK_GLOBAL {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.objects[module].value, &self.objects[name].value) {
                (Value::Text(module), Value::Text(name)) => (*module, *name),
                (module, name) => {
                    return Err(self.wrong(format!("a class is named by {module} and {name}")));
                }
            }
        } else {
            (self.line()?, self.line()?)
        };
        let Some(global) = self.names.iter().position(|allowed| *allowed == (module, name)) else {
            // The name is the file's: it may be of any length.
            let asked: String = format!("{module}.{name}").chars().take(200).collect();
            return Err(self.wrong(format!("asks for {asked:?}; only {} allowed", self.allowed)));
        };
        if code == opcode::INST {
            return Err(self.wrong("instruction 0x69 is not read here"));
        }
        self.push(Value::Global(global));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), Damage> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        match (&self.objects[callee].value, &self.objects[arguments].value) {
            (&Value::Global(global), Value::Tuple(_)) => {
                self.push(Value::Call { global, arguments, state: None });
                Ok(())
            }
            (callee, arguments) => Err(self.wrong(format!("{callee} is called with {arguments}"))),
        }
    }

    fn build(&mut self) -> Result<(), Damage> {
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

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.objects.len());
        self.objects.push(Object { offset: self.instruction, value });
    }

    /// Height of the stack below which the open mark forbids to reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Damage> {
        match self.stack.last() {
            Some(id) if self.stack.len() > self.floor() => Ok(*id),
            _ => Err(self.wrong("an instruction needs more objects than there are")),
        }
    }

    fn pop(&mut self) -> Result<Id, Damage> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_or_unmark(&mut self) -> Result<(), Damage> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Damage> {
        let mark = self.marks.pop().ok_or_else(|| self.wrong("a mark is missing"))?;
        // No instruction takes the stack below an open mark, so the mark is within it.
        Ok(self.stack.split_off(mark))
    }

    /// The bytes after a length, whose width the instruction tells.
    fn counted(&mut self, code: u8, what: &str) -> Result<&'a [u8], Damage> {
        let width = match code {
            opcode::SHORT_BINUNICODE | opcode::SHORT_BINBYTES | opcode::SHORT_BINSTRING => 1,
            opcode::BINUNICODE | opcode::BINBYTES | opcode::BINSTRING => 4,
            _ => 8,
        };
        let length = self.integer(width, what)?;
        self.take(length, what)
    }

    /// A little-endian integer of at most 8 bytes.
    fn integer(&mut self, width: usize, what: &str) -> Result<u64, Damage> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width as u64, what)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn byte(&mut self, what: &str) -> Result<u8, Damage> {
        Ok(self.take(1, what)?[0])
    }

    fn line(&mut self) -> Result<&'a str, Damage> {
        let rest = &self.file[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or_else(|| self.wrong("the file ends in the name of a class"))?;
        self.position += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| self.wrong("a class's name is not UTF-8"))
    }

    fn take(&mut self, length: u64, what: &str) -> Result<&'a [u8], Damage> {
        self.check_left(length, what)?;
        // The length fits: it is no larger than what is left of the file.
        let end = self.position + length as usize;
        let bytes = &self.file[self.position..end];
        self.position = end;
        Ok(bytes)
    }

    fn check_left(&self, length: u64, what: &str) -> Result<(), Damage> {
        let left = self.file.len() - self.position;
        if length > left as u64 {
            let message = format!("the file ends in {what}: {length} bytes expected, {left} left");
            return Err(self.wrong(message));
        }
        Ok(())
    }

    fn wrong(&self, message: impl Into<String>) -> Damage {
        Damage::new(self.instruction, message)
    }
}
