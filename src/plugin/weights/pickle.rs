//! Pickles as data: Python's stack machine without Python. It runs nothing.
//!
//! A pickle is a program that may call any function of any module. This reader calls none: the functions that a
//! program names are checked against a list and kept as `Value::Call`, for the reader of the container to understand.
//! Text and bytes stay slices of the file, and objects refer to each other by index in one table, so that neither
//! deep nesting nor a list that contains itself can exhaust the stack.
//! Opcodes: Python's `Lib/pickletools.py`.

use std::{collections::HashMap, fmt, path::Path};

use crate::error::Error;

/// Index of an object in its `Pickle`.
pub(super) type Id = usize;

/// Most instructions in a pickle. The largest video networks need some ten thousand; an object takes less than 100
/// bytes of memory, so a hostile file can ask for no more than 100 MB beyond its own size.
const MAX_INSTRUCTIONS: usize = 1 << 20;

/// What is wrong with a file, and where.
#[derive(Debug)]
pub(super) struct Damage {
    offset: usize,
    message: String,
}

impl Damage {
    /// What is wrong at that byte of the file.
    pub fn new(offset: usize, message: impl Into<String>) -> Damage {
        Damage { offset, message: message.into() }
    }

    /// As the error that a user reads.
    pub fn in_file(self, path: &Path) -> Error {
        Error::format(path, format!("byte {}: {}", self.offset, self.message))
    }
}

/// The objects that a pickle describes.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    objects: Vec<Object<'a>>,
    names: &'static [(&'static str, &'static str)],
    root: Id,
}

/// An object and the byte of the file where its description begins.
#[derive(Debug)]
struct Object<'a> {
    offset: usize,
    value: Value<'a>,
}

/// What an object is.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text, in UTF-8.
    Text(&'a str),
    /// `bytes`, `bytearray` or a Python 2 string.
    Bytes(&'a [u8]),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dict, in the order of the file.
    Dict(Vec<(Id, Id)>),
    /// An allowed class or function, by its index in the list of names.
    Global(usize),
    /// What an allowed class or function would return, were it called.
    Call {
        /// The class or function, by its index in the list of names.
        global: usize,
        /// The tuple of its arguments.
        arguments: Id,
        /// What the result's `__setstate__` would be given.
        state: Option<Id>,
    },
}

impl<'a> Pickle<'a> {
    /// Reads a whole file. `names` lists the modules and names that it may ask for; `allowed` says in words what
    /// they are.
    pub fn parse(
        file: &'a [u8],
        names: &'static [(&'static str, &'static str)],
        allowed: &str,
    ) -> Result<Pickle<'a>, Damage> {
        let mut machine = Machine {
            file,
            position: 0,
            instruction: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            names,
            allowed,
        };
        let root = machine.run()?;
        Ok(Pickle { objects: machine.objects, names, root })
    }

    /// The outermost object.
    pub fn root(&self) -> Id {
        self.root
    }

    /// What the object is.
    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.objects[id].value
    }

    /// An error about the object.
    pub fn damage(&self, id: Id, message: impl Into<String>) -> Damage {
        Damage::new(self.objects[id].offset, message)
    }

    /// The name of a class or function, without its module.
    pub fn global_name(&self, global: usize) -> &'static str {
        self.names[global].1
    }

    /// The object as text. Python 2 strings count.
    pub fn text(&self, id: Id, what: &str) -> Result<&'a str, Damage> {
        match *self.value(id) {
            Value::Text(text) => Ok(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| self.damage(id, format!("{what} is not text"))),
            ref other => Err(self.damage(id, format!("{what} must be text, not {other}"))),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// The kind of object, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("None"),
            Value::Bool(value) => write!(f, "the bool {value}"),
            Value::Int(value) => write!(f, "the integer {value}"),
            Value::Float(value) => write!(f, "the number {value}"),
            Value::Text(_) => f.write_str("text"),
            Value::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Value::Tuple(items) => write!(f, "a tuple of {}", items.len()),
            Value::List(items) => write!(f, "a list of {}", items.len()),
            Value::Dict(items) => write!(f, "a dict of {}", items.len()),
            Value::Global(_) => f.write_str("a class or function"),
            Value::Call { .. } => f.write_str("an object of a class"),
        }
    }
}

struct Machine<'a, 'b> {
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

impl<'a> Machine<'a, '_> {
    fn run(&mut self) -> Result<Id, Damage> {
        for _ in 0..MAX_INSTRUCTIONS {
            self.instruction = self.position;
            let opcode = self.byte("an instruction")?;
            if opcode == b'.' {
                let root = self.pop()?;
                let left = self.file.len() - self.position;
                return if left == 0 {
                    Ok(root)
                } else {
                    Err(Damage::new(
                        self.position,
                        format!("{left} bytes follow the end of the pickle"),
                    ))
                };
            }
            self.step(opcode)?;
        }
        Err(self.wrong(format!("the pickle has more than {MAX_INSTRUCTIONS} instructions")))
    }

    fn step(&mut self, opcode: u8) -> Result<(), Damage> {
        match opcode {
            0x80 => {
                let protocol = self.byte("the protocol")?;
                if !(2..=5).contains(&protocol) {
                    return Err(self.wrong(format!("pickle protocol {protocol}; 2 to 5 are read")));
                }
            }
            0x95 => {
                let length = self.integer(8, "the length of a frame")?;
                self.check_left(length, "a frame")?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.pop_or_unmark()?,
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(opcode)?,
            0x8c | b'X' | 0x8d => {
                let bytes = self.counted(opcode, "text")?;
                let text =
                    std::str::from_utf8(bytes).map_err(|_| self.wrong("text that is not UTF-8"))?;
                self.push(Value::Text(text));
            }
            b'C' | b'B' | 0x8e | 0x96 | b'U' | b'T' => {
                let bytes = self.counted(opcode, "a byte string")?;
                self.push(Value::Bytes(bytes));
            }
            b')' | b't' | 0x85..=0x87 => self.tuple(opcode)?,
            b']' => self.push(Value::List(Vec::new())),
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            b'a' | b'e' => self.append(opcode)?,
            b'}' => self.push(Value::Dict(Vec::new())),
            b'd' | b's' | b'u' => self.set_items(opcode)?,
            b'c' | 0x93 | b'i' => self.global(opcode)?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'q' | b'r' | 0x94 => {
                let key = match opcode {
                    b'q' => self.integer(1, "a memo number")?,
                    b'r' => self.integer(4, "a memo number")?,
                    _ => self.memo.len() as u64,
                };
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            b'h' | b'j' => {
                let key = self.integer(if opcode == b'h' { 1 } else { 4 }, "a memo number")?;
                let id = self.memo.get(&key).copied();
                self.stack
                    .push(id.ok_or_else(|| self.wrong(format!("nothing was kept as {key}")))?);
            }
            other => return Err(self.wrong(format!("instruction 0x{other:02x} is not read here"))),
        }
        Ok(())
    }

    fn number(&mut self, opcode: u8) -> Result<(), Damage> {
        let value = match opcode {
            b'K' => Value::Int(self.integer(1, "an integer")? as i64),
            b'M' => Value::Int(self.integer(2, "an integer")? as i64),
            b'J' => Value::Int(i64::from(self.integer(4, "an integer")? as u32 as i32)),
            b'G' => {
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

    fn tuple(&mut self, opcode: u8) -> Result<(), Damage> {
        let items = match opcode {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            _ => {
                let mut items = Vec::with_capacity(3);
                for _ in 0x85..=opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                items
            }
        };
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn append(&mut self, opcode: u8) -> Result<(), Damage> {
        let added = if opcode == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
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

    fn set_items(&mut self, opcode: u8) -> Result<(), Damage> {
        let added = match opcode {
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        if added.len() % 2 != 0 {
            return Err(self.wrong("a key without a value"));
        }
        let pairs = added.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        if opcode == b'd' {
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

    fn global(&mut self, opcode: u8) -> Result<(), Damage> {
        let (module, name) = if opcode == 0x93 {
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
        if opcode == b'i' {
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
    fn counted(&mut self, opcode: u8, what: &str) -> Result<&'a [u8], Damage> {
        let width = match opcode {
            0x8c | b'C' | b'U' => 1,
            b'X' | b'B' | b'T' => 4,
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
