//! What the pages of a TIFF file are, as ImageJ, OME and tifffile write it into the description of the first.

/// What a description says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Description {
    /// Who wrote it.
    pub dialect: &'static str,
    /// Number of volumes.
    pub frames: usize,
    /// Slices of each.
    pub slices: usize,
    /// Angstrom in the unit of the resolution, if it is a length.
    pub unit: Option<f64>,
    /// Distance of slices in that unit.
    pub spacing: Option<f64>,
    /// Offset and slope of ImageJ's straight calibration, by which 16-bit numbers become signed.
    pub line: Option<(f64, f64)>,
}

/// Reads the description of a file of `n_pages` pages; without one, they are the slices of one volume.
pub(super) fn parse(text: &str, n_pages: usize) -> Result<Description, String> {
    let plain = Description {
        dialect: "plain",
        frames: 1,
        slices: n_pages,
        unit: None,
        spacing: None,
        line: None,
    };
    if text.starts_with("ImageJ=") {
        return imagej(text, n_pages);
    }
    if text.contains("<OME ") && text.contains("<Pixels ") {
        let [frames, slices] = ome(text)?;
        return Ok(Description { dialect: "OME", frames, slices, ..plain });
    }
    if let Some(shape) = shaped(text)? {
        let (frames, slices) = match shape[..] {
            [_, _] => (1, 1),
            [slices, _, _] => (1, slices),
            [frames, slices, _, _] => (frames, slices),
            _ => return Err(format!("shape {shape:?}: expected [z, y, x] or [n, z, y, x]")),
        };
        return Ok(Description { dialect: "tifffile", frames, slices, ..plain });
    }
    Ok(plain)
}

/// `key=value` on each line. Pages are in the order channel, slice, frame.
fn imagej(text: &str, n_pages: usize) -> Result<Description, String> {
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key == wanted).then(|| value.trim())
        })
    };
    let count = |key: &str| match value(key) {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(n) if n > 0 => Ok(Some(n)),
            _ => Err(format!("{key}={text}: expected a number of images")),
        },
    };
    let number = |key: &str| match value(key) {
        None => Ok(None),
        Some(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(format!("{key}={text}: expected a number")),
        },
    };
    let channels = count("channels")?.unwrap_or(1);
    if channels > 1 {
        return Err(format!("channels={channels}: expected one channel; split them in ImageJ"));
    }
    let images = count("images")?.unwrap_or(n_pages);
    let (frames, slices) = match (count("frames")?, count("slices")?) {
        (None, None) => (1, images),
        (frames, slices) => (frames.unwrap_or(1), slices.unwrap_or(1)),
    };
    if frames.checked_mul(slices) != Some(images) {
        return Err(format!("slices={slices} and frames={frames} are not images={images}"));
    }
    let line = match value("cf") {
        // 20 = no calibration (ij.measure.Calibration).
        None | Some("20") => None,
        Some("0") => {
            let missing = "cf=0: expected c0 and c1, offset and slope of the calibration";
            let (c0, c1) = (number("c0")?.ok_or(missing)?, number("c1")?.ok_or(missing)?);
            Some((c0, c1))
        }
        Some(cf) => {
            return Err(format!("cf={cf}: the grey values' calibration is no straight line"));
        }
    };
    let unit = value("unit").and_then(angstrom);
    let spacing = number("spacing")?;
    Ok(Description { dialect: "ImageJ", frames, slices, unit, spacing, line })
}

/// Angstrom in a unit of length that microscopy uses; ImageJ writes letters beyond ASCII as `\uXXXX`.
fn angstrom(unit: &str) -> Option<f64> {
    match unit {
        "A" | "\u{c5}" | "\u{212b}" | "\\u00C5" | "\\u00c5" | "\\u212B" | "\\u212b" => Some(1.0),
        "nm" => Some(10.0),
        "\\u00B5m" | "\\u00b5m" | "\u{b5}m" | "um" | "micron" | "microns" => Some(1e4),
        _ => match unit.to_ascii_lowercase().as_str() {
            "angstrom" | "angstroms" | "\\u00c5ngstrom" => Some(1.0),
            "nanometer" | "nanometers" => Some(10.0),
            _ => None,
        },
    }
}

/// Frames and slices of OME's XML.
fn ome(text: &str) -> Result<[usize; 2], String> {
    let attribute = |name: &str| {
        let (_, rest) = text.split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let size = |name: &str| match attribute(name).map(str::parse::<usize>) {
        Some(Ok(n)) if n > 0 => Ok(n),
        _ => Err(format!("OME: expected {name} with a number")),
    };
    let (frames, slices, channels) = (size("SizeT")?, size("SizeZ")?, size("SizeC")?);
    if channels > 1 {
        return Err(format!("OME: SizeC is {channels}, expected one channel"));
    }
    let order = attribute("DimensionOrder").unwrap_or_default();
    let slices_first = matches!((order.find('Z'), order.find('T')), (Some(z), Some(t)) if z < t);
    if frames > 1 && slices > 1 && !slices_first {
        return Err(format!("OME: DimensionOrder is {order}, expected Z before T"));
    }
    Ok([frames, slices])
}

/// The shape in tifffile's JSON.
fn shaped(text: &str) -> Result<Option<Vec<usize>>, String> {
    let Some((_, rest)) = text.split_once("{\"shape\": [") else {
        return Ok(None);
    };
    let numbers = rest.split_once(']').map_or(rest, |(numbers, _)| numbers);
    let shape: Result<Vec<usize>, _> =
        numbers.split(',').map(|number| number.trim().parse::<usize>()).collect();
    match shape {
        Ok(shape) => Ok(Some(shape)),
        Err(_) => Err(format!("shape [{numbers}]: expected numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Description, parse};

    fn imagej(text: &str, n_pages: usize) -> Result<Description, String> {
        parse(&format!("ImageJ=1.54f\n{text}"), n_pages)
    }

    fn counts(description: Result<Description, String>) -> (usize, usize) {
        let description = description.unwrap();
        (description.frames, description.slices)
    }

    #[test]
    fn pages_are_slices_of_frames() {
        assert_eq!(counts(parse("", 28)), (1, 28));
        assert_eq!(counts(parse("taken on Monday", 28)), (1, 28));
        assert_eq!(counts(imagej("", 1)), (1, 1));
        assert_eq!(counts(imagej("images=28\nslices=28\nloop=false\n", 28)), (1, 28));
        // ImageJ leaves out counts of 1, and all but `images` of a stack that is no hyperstack.
        assert_eq!(counts(imagej("images=28\n", 28)), (1, 28));
        assert_eq!(counts(imagej("images=28\nframes=28\n", 28)), (28, 1));
        assert_eq!(
            counts(imagej("images=56\nslices=28\nframes=2\nhyperstack=true\n", 56)),
            (2, 28)
        );
        assert_eq!(counts(imagej("images=99999\nslices=9\nframes=11111\n", 1)), (11111, 9));
        let ome = |sizes: &str, order: &str| {
            let text =
                format!(r#"<?xml?><OME x=""><Pixels DimensionOrder="{order}" {sizes} /></OME>"#);
            parse(&text, 6)
        };
        assert_eq!(counts(ome(r#"SizeC="1" SizeT="2" SizeZ="3""#, "XYZCT")), (2, 3));
        assert_eq!(counts(ome(r#"SizeC="1" SizeT="1" SizeZ="6""#, "XYCTZ")), (1, 6));
        assert_eq!(counts(parse(r#"{"shape": [2, 3, 5, 5]}"#, 6)), (2, 3));
        assert_eq!(counts(parse(r#"{"shape": [6, 5, 5], "truncated": true}"#, 1)), (1, 6));

        let wrong = [
            (imagej("images=28\nslices=27\n", 28), "slices=27 and frames=1 are not images=28"),
            (imagej("images=28\nslices=0\n", 28), "slices=0"),
            (imagej("images=-1\n", 28), "images=-1"),
            (imagej("images=56\nchannels=2\nslices=28\n", 56), "channels=2"),
            (imagej("images=2\nslices=4294967297\nframes=4294967297\n", 2), "are not images=2"),
            (ome(r#"SizeC="2" SizeT="1" SizeZ="3""#, "XYZCT"), "SizeC is 2"),
            (ome(r#"SizeC="1" SizeT="2" SizeZ="3""#, "XYCTZ"), "expected Z before T"),
            (ome(r#"SizeC="1" SizeT="2""#, "XYZCT"), "expected SizeZ"),
            (parse(r#"{"shape": [2, 3, 1, 5, 5]}"#, 6), "expected [z, y, x] or [n, z, y, x]"),
            (parse(r#"{"shape": [2, "3""#, 6), "expected numbers"),
        ];
        for (description, expected) in wrong {
            let message = description.unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn units_are_angstrom_and_lines_are_straight() {
        let unit = |unit: &str| imagej(&format!("unit={unit}\nspacing=2.5\n"), 1).unwrap().unit;
        for (name, expected) in [
            ("nm", Some(10.0)),
            ("angstrom", Some(1.0)),
            ("\\u00C5", Some(1.0)),
            ("\u{c5}", Some(1.0)),
            ("micron", Some(1e4)),
            ("\\u00B5m", Some(1e4)),
            ("pixel", None),
            ("inch", None),
        ] {
            assert_eq!(unit(name), expected, "{name}");
        }
        let line = |text: &str| imagej(text, 1).map(|description| description.line);
        assert_eq!(line("cf=0\nc0=-32768.0\nc1=1.0\n"), Ok(Some((-32768.0, 1.0))));
        assert_eq!(line("cf=20\n"), Ok(None));
        assert!(line("cf=0\nc0=1\n").unwrap_err().contains("expected c0 and c1"));
        assert!(line("cf=0\nc0=1\nc1=NaN\n").unwrap_err().contains("c1=NaN"));
        assert!(line("cf=4\n").unwrap_err().contains("no straight line"));
    }
}
