//! Values of a line, separated by blanks: the grammar that STAR, mmCIF and Dynamo tables share.
//!
//! A value may stand in `'` or `"`; the quote ends where its sign is followed by a blank or by the end of the line
//! (Hall, J. Chem. Inf. Comput. Sci. 31 (1991) 326). `#` at the start of a value begins a comment.

use std::ops::Range;

/// One value of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell<'a> {
    /// Its bytes within the line, quotes included.
    pub span: Range<usize>,
    /// What it says, without quotes.
    pub text: &'a [u8],
}

impl Cell<'_> {
    /// Whether it stands in quotes: then it is no keyword.
    pub fn is_quoted(&self) -> bool {
        self.span.len() != self.text.len()
    }
}

/// A quote without an end; the byte of the line where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenQuote(pub usize);

/// The values of a line, with or without its line feed.
#[derive(Clone, Debug)]
pub(crate) struct Cells<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cells<'a> {
    pub fn new(line: &'a [u8]) -> Cells<'a> {
        Cells { line, at: 0 }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Result<Cell<'a>, OpenQuote>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.line[self.at..];
        let start = self.at + rest.iter().position(|&byte| !is_blank(byte))?;
        let first = self.line[start];
        if first == b'#' {
            self.at = self.line.len();
            return None;
        }
        if first == b'\'' || first == b'"' {
            let text_start = start + 1;
            let ends = |end: &usize| {
                self.line[*end] == first
                    && self.line.get(end + 1).is_none_or(|&next| is_blank(next))
            };
            let Some(end) = (text_start..self.line.len()).find(ends) else {
                self.at = self.line.len();
                return Some(Err(OpenQuote(start)));
            };
            self.at = end + 1;
            return Some(Ok(Cell { span: start..end + 1, text: &self.line[text_start..end] }));
        }
        let rest = &self.line[start..];
        let end = start + rest.iter().position(|&byte| is_blank(byte)).unwrap_or(rest.len());
        self.at = end;
        Some(Ok(Cell { span: start..end, text: &self.line[start..end] }))
    }
}

/// Space, tab, and what ends lines, so that a carriage return before a line feed is no part of a value.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

/// Where the text of a file begins: behind a byte order mark, which editors on Windows put before it.
pub(crate) fn text_start(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

/// The line that begins at byte `start`, with its line feed if it has one.
pub(crate) fn line_at(bytes: &[u8], start: usize) -> &[u8] {
    let rest = &bytes[start..];
    let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
    &rest[..end]
}

/// The number of the line, from 1 on, that byte `offset` lies in.
pub(crate) fn line_number(bytes: &[u8], offset: usize) -> usize {
    1 + bytes[..offset].iter().filter(|&&byte| byte == b'\n').count()
}

/// Text of a file as a message shows it: in quotes, cut if it is long.
pub(crate) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * LONGEST)]);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Writes `line` with some of its cells replaced and others appended after the last one.
///
/// `cells` are those of the line; `replaced` gives the new text of a cell by its index.
pub(crate) fn splice(
    out: &mut Vec<u8>,
    line: &[u8],
    cells: impl Iterator<Item = Range<usize>>,
    mut replaced: impl FnMut(usize) -> Option<String>,
    appended: impl Iterator<Item = String>,
) {
    let mut done = 0;
    let mut separator: &[u8] = b" ";
    for (index, span) in cells.enumerate() {
        if let Some(text) = replaced(index) {
            out.extend_from_slice(&line[done..span.start]);
            out.extend_from_slice(text.as_bytes());
        } else {
            out.extend_from_slice(&line[done..span.end]);
        }
        if index > 0 && line[span.start - 1] == b'\t' {
            separator = b"\t";
        }
        done = span.end;
    }
    for text in appended {
        out.extend_from_slice(separator);
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&line[done..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        let cells = Cells::new(line.as_bytes()).map(|cell| cell.unwrap().text.to_vec());
        cells.map(|text| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn values_are_told_apart() {
        assert_eq!(texts(" a\tb  c \r\n"), ["a", "b", "c"]);
        assert_eq!(texts("'it's one' \"\" x'y '#' # no 'value"), ["it's one", "", "x'y", "#"]);
        assert_eq!(texts("a#b [1,0] 5\" 'q'z'"), ["a#b", "[1,0]", "5\"", "q'z"]);
        assert_eq!(texts("   \r\n"), Vec::<String>::new());
        assert_eq!(texts("'a'"), ["a"]);
    }

    #[test]
    fn an_open_quote_is_an_error_and_the_last_item() {
        let mut cells = Cells::new(b"a 'b c\"\n");
        assert_eq!(cells.next().unwrap().unwrap().text, b"a");
        assert_eq!(cells.next(), Some(Err(OpenQuote(2))));
        assert_eq!(cells.next(), None);
        assert_eq!(Cells::new(b"'").next(), Some(Err(OpenQuote(0))));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shown("é".repeat(60).as_bytes()).chars().count(), 62);
        assert!(shown("é".repeat(500).as_bytes()).ends_with("é\"..."));
        assert_eq!(shown(b"a\xff"), "\"a\u{fffd}\"");
    }
}
