//! Images in memory, and as PNG files.

use crate::failure::{Failure, Result};

/// An image of 8-bit red, green and blue.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Image {
    /// An image of these pixels, three values each, row by row from the top; what is missing is white.
    pub fn of(width: usize, height: usize, mut rgb: Vec<u8>) -> Image {
        rgb.resize(3 * width * height, 255);
        Image { width, height, rgb }
    }

    /// A white image.
    pub fn white(width: usize, height: usize) -> Image {
        Image::of(width, height, Vec::new())
    }

    /// Three values a pixel, row by row from the top.
    #[cfg(test)]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Gives a pixel within the image a colour.
    pub fn set(&mut self, row: usize, column: usize, colour: [u8; 3]) {
        let at = 3 * (row * self.width + column);
        self.rgb[at..at + 3].copy_from_slice(&colour);
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Images on a grid, each enlarged by a whole factor, with white between them: rows from the top.
    pub fn montage(rows: &[Vec<Image>], factor: usize, gap: usize) -> Image {
        let size = |extent: usize| extent * factor + gap;
        let row_width = |row: &Vec<Image>| row.iter().map(|image| size(image.width)).sum::<usize>();
        let row_height = |row: &Vec<Image>| row.iter().map(|i| size(i.height)).max().unwrap_or(0);
        let width = rows.iter().map(row_width).max().unwrap_or(0) + gap;
        let height = rows.iter().map(row_height).sum::<usize>() + gap;
        let mut whole = Image::white(width, height);
        let mut top = gap;
        for row in rows {
            let mut left = gap;
            for image in row {
                whole.paste(image, factor, [top, left]);
                left += size(image.width);
            }
            top += row_height(row);
        }
        whole
    }

    fn paste(&mut self, image: &Image, factor: usize, [top, left]: [usize; 2]) {
        for y in 0..image.height * factor {
            for x in 0..image.width * factor {
                let from = 3 * (y / factor * image.width + x / factor);
                let to = 3 * ((top + y) * self.width + left + x);
                self.rgb[to..to + 3].copy_from_slice(&image.rgb[from..from + 3]);
            }
        }
    }

    /// As a PNG file.
    ///
    /// # Errors
    /// The image is empty or larger than a PNG can be.
    pub fn png(&self) -> Result<Vec<u8>> {
        let failed = |error: png::EncodingError| Failure::Error(format!("a picture: {error}"));
        let extent = |extent: usize| {
            u32::try_from(extent).map_err(|_| Failure::Error("a picture is too large".to_owned()))
        };
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, extent(self.width)?, extent(self.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.rgb).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_set_where_they_are() {
        let mut image = Image::white(3, 2);
        image.set(1, 2, [1, 2, 3]);
        assert_eq!(image.rgb()[..15], [255; 15]);
        assert_eq!(image.rgb()[15..], [1, 2, 3]);
        assert!(Image::white(0, 2).png().is_err());
    }

    #[test]
    fn montages_hold_what_they_are_given() {
        let image = |level| Image::of(2, 1, vec![level; 6]);
        let whole = Image::montage(&[vec![image(1), image(2)], vec![image(3)]], 2, 1);
        assert_eq!([whole.width, whole.height], [11, 7]);
        let count = |level| whole.rgb.iter().filter(|&&other| other == level).count() / 3;
        assert_eq!([count(1), count(2), count(3)], [8, 8, 8]);
        assert!(whole.png().unwrap().starts_with(b"\x89PNG"));
    }
}
