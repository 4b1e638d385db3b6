"""Structs, choices and tables of examples/python/cinetomo are those of include/cinetomo.h, as gcc lays them out."""

import ctypes
import re
import subprocess
import tempfile
import typing
import unittest
from pathlib import Path

import cinetomo

ROOT = Path(__file__).resolve().parents[2]
HEADER = (ROOT / "include/cinetomo.h").read_text()
CODE = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)

STRUCTS = [
    kind
    for kind in vars(cinetomo).values()
    if isinstance(kind, type) and issubclass(kind, ctypes.Structure) and kind.__name__.startswith("cinetomo_")
]
TABLES = [kind for kind in STRUCTS if kind.__name__.endswith("_api")]


class Layout(unittest.TestCase):
    def test_fields_have_the_offsets_of_c(self):
        plain = [kind for kind in STRUCTS if kind not in TABLES]
        self.assertGreater(len(plain), 15)
        lines = []
        for kind in plain:
            for name, *_ in kind._fields_:
                place = f"offsetof({kind.__name__}, {name}), sizeof((({kind.__name__} *)0)->{name})"
                lines.append(f'printf("{kind.__name__}.{name} %zu %zu\\n", {place});')
        expected = []
        for kind in plain:
            for name, *_ in kind._fields_:
                field = getattr(kind, name)
                expected.append(f"{kind.__name__}.{name} {field.offset} {field.size}")
        self.assertEqual(run_c(lines).split("\n"), [*expected, ""])

    def test_fields_have_the_names_and_kinds_of_c(self):
        for kind in STRUCTS:
            if kind in TABLES:
                continue
            members = fields_in_header(kind.__name__)
            # A newer header may have more at the end: the library takes a shorter struct for an older host's.
            names = [name for name, *_ in kind._fields_]
            self.assertEqual(names, [name for name, _ in members][: len(names)], kind.__name__)
            for (name, python), (_, c) in zip(kind._fields_, members, strict=False):
                self.assertEqual(letter_of_python(python), letter_of_c(c), f"{kind.__name__}.{name}")

    def test_tables_are_the_beginning_of_those_in_c(self):
        self.assertEqual(len(TABLES), 5)
        for kind in TABLES:
            body = re.search(r"typedef struct %s \{(.*?)\n\} %s;" % (kind.__name__, kind.__name__), CODE, re.DOTALL)[1]
            entries = re.findall(r"([\w *]+?)\(\*(\w+)\)\((.*?)\);", body, re.DOTALL)
            self.assertGreaterEqual(len(entries), len(kind._fields_) - 1)
            for (name, python), (result, c_name, arguments) in zip(kind._fields_[1:], entries, strict=False):
                self.assertEqual(name, c_name)
                types = [] if arguments.strip() == "void" else [part.rsplit(None, 1) for part in arguments.split(",")]
                # "type *name": the star belongs to the type
                c = [letter_of_c(left + (" *" if right.startswith("*") else "")) for left, right in types]
                self.assertEqual("".join(map(letter_of_python, python._argtypes_)), "".join(c), name)
                self.assertEqual(letter_of_python(python._restype_), letter_of_c(result.strip()), name)

    def test_choices_have_the_numbers_of_c(self):
        enums = dict(re.findall(r"typedef enum cinetomo_(\w+) \{(.*?)\}", CODE, re.DOTALL))
        python = {
            name: value
            for name, value in vars(cinetomo).items()
            if typing.get_origin(value) is typing.Literal and name not in ("Literal",)
        }
        python["Status"] = None
        checked = set()
        for name, choices in python.items():
            c_name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            prefix = f"CINETOMO_{c_name.upper()}_"
            c = {key.removeprefix(prefix).lower(): int(number) for key, number in re.findall(r"(\w+) = (\d+)", enums[c_name])}
            checked.add(c_name)
            if choices is None:
                self.assertEqual({status.name.lower(): int(status) for status in cinetomo.Status}, c)
            elif name in ("Augment", "Reject"):
                self.assertEqual({"none": 0} | {text: 1 << i for i, text in enumerate(typing.get_args(choices))}, c)
            else:
                self.assertLessEqual({text: i for i, text in enumerate(typing.get_args(choices))}.items(), c.items(), name)
        self.assertGreater(len(checked), 20)
        dtypes = {"F32": "f4", "F16": "f2", "U8": "u1", "I8": "i1", "U16": "u2", "I16": "i2"}
        numbers = {key: int(number) for key, number in re.findall(r"CINETOMO_DTYPE_(\w+) = (\d+)", CODE)}
        self.assertEqual({name: cinetomo._DTYPES.index(dtypes[name]) for name in numbers}, numbers)

    def test_every_option_that_is_laid_out_can_be_given(self):
        for hints, struct in [
            (cinetomo.FineTuneOptions, cinetomo._FineTuneOptions),
            (cinetomo.CalibrationOptions, cinetomo._CalibrationOptions),
            (cinetomo.PreprocessOptions, cinetomo._Preprocess),
            (cinetomo.SplitOptions, cinetomo._SplitOptions),
            (cinetomo.SyntheticOptions, cinetomo._SyntheticOptions),
            (cinetomo.GradCamOptions, cinetomo._GradCamOptions),
            (cinetomo.TsneOptions, cinetomo._TsneOptions),
            (cinetomo.PickOptions, cinetomo._PickOptions),
            (cinetomo.ExtractOptions, cinetomo._ExtractOptions),
        ]:
            fields = {name for name, *_ in struct._fields_} - {"struct_size", "reserved", "reserved_2", "n_milestones"}
            self.assertEqual(set(hints.__annotations__) - {"preset"}, fields)

    def test_versions_agree(self):
        pyproject = (ROOT / "examples/python/pyproject.toml").read_text()
        workspace = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        self.assertEqual(cinetomo.__version__, workspace)
        self.assertEqual(re.search(r'^version = "(.*)"', pyproject, re.MULTILINE)[1], workspace)
        self.assertEqual(cinetomo.ABI_VERSION, int(re.search(r"CINETOMO_ABI_VERSION (\d+)", CODE)[1]))


def fields_in_header(struct):
    """Names and C types of a struct's members."""
    body = re.search(r"typedef struct %s \{(.*?)\n\} %s;" % (struct, struct), CODE, re.DOTALL)[1]
    members = []
    for line in filter(None, map(str.strip, body.split(";"))):
        callback = re.match(r"\w+ \(\*(\w+)\)", line)
        if callback:
            members.append((callback[1], "callback"))
        else:
            match = re.match(r"(.*?)(\w+)(\[\d+\])?$", line, re.DOTALL)
            members.append((match[2], match[1].strip() + (match[3] or "")))
    return members


def letter_of_c(kind):
    kind = " ".join(kind.replace("struct ", "").split())
    numbers = {"size_t": "z", "int32_t": "i", "int64_t": "l", "uint32_t": "u", "uint64_t": "z", "double": "d", "void": "-"}
    array = re.match(r"(\w+)(\[\d+\])", kind)
    if array:
        return numbers[array[1]] + array[2]
    if kind == "callback":
        return "call"
    if kind == "const char *":
        return "s"
    return "p" if kind.endswith("*") else numbers.get(kind, kind)


def letter_of_python(kind):
    if kind is None:
        return "-"
    if issubclass(kind, ctypes.Array):
        return f"{letter_of_python(kind._type_)}[{kind._length_}]"
    if issubclass(kind, ctypes._CFuncPtr):
        return "call"
    if issubclass(kind, ctypes.Structure):
        return kind.__name__
    if issubclass(kind, ctypes._Pointer):
        return "p"
    # size_t and uint64_t are one type to ctypes
    return {
        ctypes.c_size_t: "z", ctypes.c_int32: "i", ctypes.c_int64: "l", ctypes.c_uint32: "u", ctypes.c_double: "d",
        ctypes.c_char_p: "s", ctypes.c_void_p: "p",
    }[kind]  # fmt: skip


def run_c(lines):
    """What a C program with these lines prints."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "layout.c"
        body = "\n".join(lines)
        source.write_text(
            f"#include <cinetomo.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {{\n{body}\nreturn 0;\n}}\n"
        )
        program = Path(directory) / "layout"
        subprocess.run(["gcc", "-std=c99", f"-I{ROOT / 'include'}", source, "-o", program], check=True)
        return subprocess.run([program], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    unittest.main()
