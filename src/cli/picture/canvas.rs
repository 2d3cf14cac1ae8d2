//! Pixels: rectangles, letters, PNG.

use super::glyphs;

/// Red, green, blue.
pub type Colour = [u8; 3];

pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub fn blank(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    /// Fills what of the rectangle lies on the canvas.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Colour) {
        let right = (x + width).min(self.width);
        for line in y..(y + height).min(self.height) {
            if x < right {
                self.pixels[line * self.width + x..line * self.width + right].fill(colour);
            }
        }
    }

    /// Copies a smaller canvas that fits.
    pub fn paste(&mut self, x: usize, y: usize, other: &Self) {
        for line in 0..other.height {
            let to = (y + line) * self.width + x;
            self.pixels[to..to + other.width]
                .copy_from_slice(&other.pixels[line * other.width..(line + 1) * other.width]);
        }
    }

    /// Writes from the upper left corner, each dot `size` pixels; what does not fit is cut off.
    pub fn text(&mut self, x: usize, y: usize, text: &str, size: usize, colour: Colour) {
        for (at, letter) in text.chars().enumerate() {
            let left = x + at * glyphs::ADVANCE * size;
            for (line, dots) in glyphs::of(letter).into_iter().enumerate() {
                for column in (0..glyphs::WIDTH).filter(|column| dots >> (4 - column) & 1 == 1) {
                    self.fill(left + column * size, y + line * size, size, size, colour);
                }
            }
        }
    }

    pub fn text_width(text: &str, size: usize) -> usize {
        text.chars().count() * glyphs::ADVANCE * size
    }

    #[cfg(test)]
    pub fn count(&self, colour: Colour) -> usize {
        self.pixels.iter().filter(|pixel| **pixel == colour).count()
    }

    /// 8-bit RGB.
    pub fn to_png(&self) -> Vec<u8> {
        let mut bytes = vec![];
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("a vector takes all bytes");
        writer.write_image_data(self.pixels.as_flattened()).expect("the canvas has its full size");
        writer.finish().expect("a vector takes all bytes");
        bytes
    }
}
