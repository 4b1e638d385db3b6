//! The names that pickles of `torch.save` may ask for.

use crate::dtype::Dtype;

/// Modules and names: of tensors, and of what training scripts put beside them.
pub(super) static NAMES: &[(&str, &str)] = &[
    ("__builtin__", "bytearray"),
    ("__builtin__", "complex"),
    ("__builtin__", "dict"),
    ("__builtin__", "frozenset"),
    ("__builtin__", "list"),
    ("__builtin__", "object"),
    ("__builtin__", "set"),
    ("__builtin__", "slice"),
    ("__builtin__", "tuple"),
    ("__builtin__", "xrange"),
    ("_codecs", "encode"),
    ("argparse", "Namespace"),
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("builtins", "dict"),
    ("builtins", "frozenset"),
    ("builtins", "list"),
    ("builtins", "object"),
    ("builtins", "range"),
    ("builtins", "set"),
    ("builtins", "slice"),
    ("builtins", "tuple"),
    ("collections", "Counter"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("collections", "deque"),
    ("copy_reg", "_reconstructor"),
    ("copyreg", "_reconstructor"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy.dtypes", "Float32DType"),
    ("numpy.dtypes", "Float64DType"),
    ("numpy.dtypes", "Int64DType"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
    ("pathlib", "PureWindowsPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("pathlib._local", "WindowsPath"),
    ("torch", "BFloat16Storage"),
    ("torch", "BoolStorage"),
    ("torch", "ByteStorage"),
    ("torch", "CharStorage"),
    ("torch", "ComplexDoubleStorage"),
    ("torch", "ComplexFloatStorage"),
    ("torch", "DoubleStorage"),
    ("torch", "FloatStorage"),
    ("torch", "HalfStorage"),
    ("torch", "IntStorage"),
    ("torch", "LongStorage"),
    ("torch", "QInt32Storage"),
    ("torch", "QInt8Storage"),
    ("torch", "QUInt8Storage"),
    ("torch", "ShortStorage"),
    ("torch", "Size"),
    ("torch", "Tensor"),
    ("torch", "bfloat16"),
    ("torch", "bool"),
    ("torch", "complex128"),
    ("torch", "complex64"),
    ("torch", "device"),
    ("torch", "float16"),
    ("torch", "float32"),
    ("torch", "float64"),
    ("torch", "float8_e4m3fn"),
    ("torch", "float8_e4m3fnuz"),
    ("torch", "float8_e5m2"),
    ("torch", "float8_e5m2fnuz"),
    ("torch", "int16"),
    ("torch", "int32"),
    ("torch", "int64"),
    ("torch", "int8"),
    ("torch", "uint16"),
    ("torch", "uint32"),
    ("torch", "uint64"),
    ("torch", "uint8"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch.cuda", "BFloat16Storage"),
    ("torch.cuda", "BoolStorage"),
    ("torch.cuda", "ByteStorage"),
    ("torch.cuda", "CharStorage"),
    ("torch.cuda", "DoubleStorage"),
    ("torch.cuda", "FloatStorage"),
    ("torch.cuda", "HalfStorage"),
    ("torch.cuda", "IntStorage"),
    ("torch.cuda", "LongStorage"),
    ("torch.cuda", "ShortStorage"),
    ("torch.nn.parameter", "Buffer"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.serialization", "_get_layout"),
    ("torch.storage", "TypedStorage"),
    ("torch.storage", "UntypedStorage"),
    ("torch.storage", "_TypedStorage"),
    ("torch.storage", "_UntypedStorage"),
    ("torch.torch_version", "TorchVersion"),
    ("types", "SimpleNamespace"),
];

/// What a storage's class says of its values.
pub(super) enum Typed {
    As(Dtype),
    /// Nothing: it is bytes.
    Untyped,
}

impl Typed {
    pub(super) fn known(self) -> Option<Dtype> {
        match self {
            Typed::As(dtype) => Some(dtype),
            Typed::Untyped => None,
        }
    }
}

/// The type of the values in a storage of that class.
pub(super) fn of_storage((module, name): (&str, &str)) -> Option<Typed> {
    if module == "torch.storage" {
        return matches!(name, "UntypedStorage" | "_UntypedStorage").then_some(Typed::Untyped);
    }
    let dtype = match name {
        "BFloat16Storage" => Dtype::Bf16,
        "BoolStorage" => Dtype::Bool,
        "ByteStorage" => Dtype::U8,
        "CharStorage" => Dtype::I8,
        "ComplexDoubleStorage" => Dtype::Other("complex128", 16),
        "ComplexFloatStorage" => Dtype::Other("complex64", 8),
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "IntStorage" => Dtype::I32,
        "LongStorage" => Dtype::I64,
        "QInt32Storage" => Dtype::Other("qint32", 4),
        "QInt8Storage" => Dtype::Other("qint8", 1),
        "QUInt8Storage" => Dtype::Other("quint8", 1),
        "ShortStorage" => Dtype::I16,
        _ => return None,
    };
    Some(Typed::As(dtype))
}

/// The type that a `torch.dtype` names.
pub(super) fn of_dtype((module, name): (&str, &str)) -> Option<Dtype> {
    if module != "torch" {
        return None;
    }
    Some(match name {
        "bfloat16" => Dtype::Bf16,
        "bool" => Dtype::Bool,
        "complex128" => Dtype::Other("complex128", 16),
        "complex64" => Dtype::Other("complex64", 8),
        "float16" => Dtype::F16,
        "float32" => Dtype::F32,
        "float64" => Dtype::F64,
        "float8_e4m3fn" => Dtype::Other("float8_e4m3fn", 1),
        "float8_e4m3fnuz" => Dtype::Other("float8_e4m3fnuz", 1),
        "float8_e5m2" => Dtype::Other("float8_e5m2", 1),
        "float8_e5m2fnuz" => Dtype::Other("float8_e5m2fnuz", 1),
        "int16" => Dtype::I16,
        "int32" => Dtype::I32,
        "int64" => Dtype::I64,
        "int8" => Dtype::I8,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "uint8" => Dtype::U8,
        _ => return None,
    })
}
