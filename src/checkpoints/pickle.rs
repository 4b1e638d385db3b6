//! Pickles as data: Python's stack machine without Python. It runs nothing.
//!
//! A pickle is a program that may call any function of any module. This reader calls none: the functions that a
//! program names are checked against a list and kept as `Value::Call`, for the reader of the container to understand.
//! Long text and bytes stay in the file, and objects refer to each other by index in one table, so that neither deep
//! nesting nor a list that contains itself can exhaust the stack.

mod input;
mod machine;
mod opcode;

use std::fmt;

use self::{input::Input, machine::Machine};
use crate::{
    error::{Error, Result},
    source::Source,
    tensor::MAX_AXES,
};

/// Index of an object in its `Pickle`.
pub(crate) type Id = usize;

/// What pickles of one kind of file may contain.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Modules and names that may be asked for.
    pub names: &'static [(&'static str, &'static str)],
    /// What they are, for the message about any other.
    pub allowed: &'static str,
    /// Whether it may refer to objects outside of it by a persistent id.
    pub persistent: bool,
}

/// The objects that a pickle describes.
#[derive(Debug)]
pub(crate) struct Pickle {
    objects: Vec<Object>,
    names: &'static [(&'static str, &'static str)],
    root: Id,
    /// First byte after it, in its source.
    end: u64,
}

/// An object and the byte where its description begins.
#[derive(Debug)]
struct Object {
    offset: u64,
    value: Value,
}

/// Text or bytes: where they are in the source, and themselves if they are short.
#[derive(Debug)]
pub(crate) struct Run {
    /// First byte in the source.
    pub offset: u64,
    /// Number of bytes in the source.
    pub n_bytes: u64,
    near: Option<Box<[u8]>>,
}

/// What an object is.
#[derive(Debug)]
pub(crate) enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer of more than 64 bits.
    LongInt,
    /// A float.
    Float(f64),
    /// Text, in UTF-8.
    Text(Run),
    /// `bytes`, `bytearray` or a Python 2 string.
    Bytes(Run),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list or a set.
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
        /// What would be set in the result as in a dict.
        items: Vec<(Id, Id)>,
    },
    /// An object outside of the pickle, by what names it.
    Persistent(Id),
}

impl Pickle {
    /// Reads the pickle that begins at `start`, and ends at `end` or before.
    pub fn parse(source: &dyn Source, start: u64, end: u64, rules: &Rules) -> Result<Pickle> {
        Machine::new(Input::new(source, start, end), rules).run()
    }

    /// First byte after it, in its source.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The outermost object.
    pub fn root(&self) -> Id {
        self.root
    }

    /// What the object is.
    pub fn value(&self, id: Id) -> &Value {
        &self.objects[id].value
    }

    /// All objects.
    pub fn ids(&self) -> std::ops::Range<Id> {
        0..self.objects.len()
    }

    /// An error about the object.
    pub fn damage(&self, id: Id, message: impl fmt::Display) -> Error {
        Error::format(format!("byte {}: {message}", self.objects[id].offset))
    }

    /// Module and name of a class or function.
    pub fn global(&self, global: usize) -> (&'static str, &'static str) {
        self.names[global]
    }

    /// The object as text. Python 2 strings count.
    pub fn text(&self, id: Id, what: &str) -> Result<&str> {
        match self.value(id) {
            Value::Text(run) | Value::Bytes(run) => {
                let near = run.near.as_deref().ok_or_else(|| {
                    let n = run.n_bytes;
                    self.damage(id, format!("{what} of {n} bytes is too long"))
                })?;
                std::str::from_utf8(near)
                    .map_err(|_| self.damage(id, format!("{what} is not text")))
            }
            other => Err(self.damage(id, format!("{what} must be text, not {other}"))),
        }
    }

    /// The object as a number of something.
    pub fn count(&self, id: Id, what: &str) -> Result<u64> {
        match self.value(id) {
            Value::Int(number) if *number >= 0 => Ok(*number as u64),
            other => Err(self.damage(id, format!("{what} is {other}"))),
        }
    }

    /// The object as a list of a count for each axis, such as a shape.
    pub fn counts(&self, id: Id, what: &str) -> Result<Vec<u64>> {
        let items = match self.value(id) {
            // torch.Size is a tuple; its call has one as its only argument.
            &Value::Call { arguments, .. } => match self.tuple(arguments, what)? {
                &[items] => self.sequence(items, what)?,
                _ => return Err(self.damage(id, format!("{what} is {}", self.value(id)))),
            },
            _ => self.sequence(id, what)?,
        };
        if items.len() > MAX_AXES {
            return Err(self.damage(id, format!("{what} has {} axes", items.len())));
        }
        items.iter().map(|item| self.count(*item, what)).collect()
    }

    /// The items of a tuple.
    pub fn tuple(&self, id: Id, what: &str) -> Result<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Ok(items),
            other => Err(self.damage(id, format!("{what} is {other}, not a tuple"))),
        }
    }

    /// The items of a tuple or list.
    pub fn sequence(&self, id: Id, what: &str) -> Result<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) | Value::List(items) => Ok(items),
            other => Err(self.damage(id, format!("{what} is {other}, not a tuple"))),
        }
    }
}

impl fmt::Display for Value {
    /// The kind of object, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("None"),
            Value::Bool(value) => write!(f, "the bool {value}"),
            Value::Int(value) => write!(f, "the integer {value}"),
            Value::LongInt => f.write_str("an integer of more than 64 bits"),
            Value::Float(value) => write!(f, "the number {value}"),
            Value::Text(_) => f.write_str("text"),
            Value::Bytes(run) => write!(f, "{} bytes", run.n_bytes),
            Value::Tuple(items) => write!(f, "a tuple of {}", items.len()),
            Value::List(items) => write!(f, "a list of {}", items.len()),
            Value::Dict(items) => write!(f, "a dict of {}", items.len()),
            Value::Global(_) => f.write_str("a class or function"),
            Value::Call { .. } => f.write_str("an object of a class"),
            Value::Persistent(_) => f.write_str("a reference to outside"),
        }
    }
}
