//! Pickles as data: Python's stack machine without Python. It runs nothing.
//!
//! A pickle is a program that may call any function of any module. This reader calls none: the functions that a
//! program names are checked against a list and kept as `Value::Call`, for the reader of the container to understand.
//! Text and bytes stay slices of the file, and objects refer to each other by index in one table, so that neither
//! deep nesting nor a list that contains itself can exhaust the stack.

mod machine;
mod opcode;

use std::{fmt, path::Path};

use self::machine::Machine;
use crate::error::Error;

/// Index of an object in its `Pickle`.
pub(super) type Id = usize;

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
        let (objects, root) = Machine::new(file, names, allowed).run()?;
        Ok(Pickle { objects, names, root })
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
