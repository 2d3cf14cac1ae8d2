//! Draws the sparsity pattern of a matrix: squares darker where more entries are, row numbers at the
//! left, column numbers on top. One layout, two forms: PNG, and SVG with text that can be selected
//! around the same squares.

mod canvas;
mod glyphs;

use std::fmt::Write as _;

use crate::cli::text::grouped;
use crate::solver::sparsity::DensityGrid;
use canvas::{Canvas, Colour};

/// Pixels that the pattern takes at most, along a side.
const PIXELS_MAX: usize = 800;

const LEFT: usize = 120;
const TOP: usize = 96;
const RIGHT: usize = 36;
const BOTTOM: usize = 76;
const SIDE_MIN: usize = 480;

const PAPER: Colour = [0xff, 0xff, 0xff];
const INK: Colour = [0x1f, 0x29, 0x37];
const FAINT: Colour = [0x6b, 0x72, 0x80];
/// One entry, and the fullest square.
const LIGHT: Colour = [0x4f, 0x95, 0xdb];
const DARK: Colour = [0x0b, 0x1f, 0x4b];

/// Squares along a side: a pixel each, or four where lone pixels would be all there is to see.
pub fn cells_max(entries: usize) -> usize {
    match entries < PIXELS_MAX * PIXELS_MAX / 8 {
        true => PIXELS_MAX / 2,
        false => PIXELS_MAX,
    }
}

/// A pattern with everything that is written around it.
pub struct Picture<'a> {
    grid: &'a DensityGrid,
    name: &'a str,
    /// Pixels along a square.
    scale: usize,
}

impl<'a> Picture<'a> {
    /// `name` is the title.
    pub fn of(grid: &'a DensityGrid, name: &'a str) -> Self {
        Self { grid, name, scale: (PIXELS_MAX / grid.cells).clamp(1, 96) }
    }

    /// Pixels of the pattern.
    fn side(&self) -> usize {
        self.scale * self.grid.cells
    }

    fn width(&self) -> usize {
        LEFT + self.side().max(SIDE_MIN) + RIGHT
    }

    fn height(&self) -> usize {
        TOP + self.side() + BOTTOM
    }

    fn caption(&self) -> String {
        let (order, entries) = (self.grid.order, self.grid.entries);
        let share = 100.0 * entries as f64 / (order as f64).powi(2);
        let share = if share >= 0.01 { format!("{share:.2}") } else { format!("{share:.1e}") };
        format!("n = {}   {} entries   {share} %", grouped(order), grouped(entries))
    }

    /// What stands at the ends of the bar of shades; no bar where all squares are equal.
    fn legend(&self) -> Option<(&'static str, String)> {
        match self.grid.count_max() {
            0 | 1 => None,
            most => Some(("1", format!("{} entries a square", grouped(most as usize)))),
        }
    }

    /// Index and pixel of each mark along an axis: round steps, at least 90 pixels apart.
    fn ticks(&self) -> Vec<(usize, usize)> {
        let order = self.grid.order;
        let marks = (self.side() / 90).max(1);
        let least = order.div_ceil(marks).max(1);
        let decade = 10usize.pow(least.ilog10());
        let step =
            [1, 2, 5, 10].map(|factor| factor * decade).into_iter().find(|step| *step >= least);
        let step = step.unwrap_or(least);
        (0..order).step_by(step).map(|index| (index, index * self.side() / order)).collect()
    }

    fn colour(&self, shade: f64) -> Colour {
        std::array::from_fn(|channel| {
            let (light, dark) = (f64::from(LIGHT[channel]), f64::from(DARK[channel]));
            (light + (dark - light) * shade).round() as u8
        })
    }

    /// The squares alone.
    fn pattern(&self) -> Canvas {
        let count_max = self.grid.count_max();
        let mut canvas = Canvas::blank(self.side(), self.side(), PAPER);
        for (at, &count) in self.grid.counts.iter().enumerate() {
            if let Some(shade) = self.grid.shade(count, count_max) {
                let (x, y) = (at % self.grid.cells * self.scale, at / self.grid.cells * self.scale);
                canvas.fill(x, y, self.scale, self.scale, self.colour(shade));
            }
        }
        canvas
    }

    /// The whole picture as PNG.
    pub fn to_png(&self) -> Vec<u8> {
        let mut canvas = Canvas::blank(self.width(), self.height(), PAPER);
        canvas.text(LEFT, 18, self.name, 2, INK);
        canvas.text(LEFT, 44, &self.caption(), 2, FAINT);
        canvas.fill(LEFT - 1, TOP - 1, self.side() + 2, self.side() + 2, FAINT);
        canvas.paste(LEFT, TOP, &self.pattern());
        for (index, offset) in self.ticks() {
            let label = grouped(index);
            canvas.fill(LEFT + offset, TOP - 7, 1, 6, FAINT);
            canvas.fill(LEFT - 7, TOP + offset, 6, 1, FAINT);
            let width = Canvas::text_width(&label, 1);
            canvas.text((LEFT + offset).saturating_sub(width / 2), TOP - 18, &label, 1, INK);
            canvas.text(LEFT - 12 - width, TOP + offset - 3, &label, 1, INK);
        }
        let y = TOP + self.side() + 30;
        if let Some((low, high)) = self.legend() {
            canvas.text(LEFT, y, low, 2, FAINT);
            for step in 0..BAR {
                let shade = step as f64 / (BAR - 1) as f64;
                canvas.fill(LEFT + 24 + step, y, 1, 14, self.colour(shade));
            }
            canvas.text(LEFT + 24 + BAR + 12, y, &high, 2, FAINT);
        }
        canvas.to_png()
    }

    /// The whole picture as SVG.
    pub fn to_svg(&self) -> String {
        let (width, height, side) = (self.width(), self.height(), self.side());
        let mut svg = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{}\">\n<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
            hex(INK),
            hex(PAPER)
        );
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"34\" font-size=\"18\" font-weight=\"600\">{}</text>\n<text x=\"{LEFT}\" y=\"58\" font-size=\"15\" fill=\"{}\" xml:space=\"preserve\">{}</text>",
            escaped(self.name),
            hex(FAINT),
            self.caption()
        );
        let _ = writeln!(
            svg,
            "<image x=\"{LEFT}\" y=\"{TOP}\" width=\"{side}\" height=\"{side}\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{side}\" height=\"{side}\" fill=\"none\" stroke=\"{}\"/>",
            base64(&self.pattern().to_png()),
            hex(FAINT)
        );
        for (index, offset) in self.ticks() {
            let (x, y, label) = (LEFT + offset, TOP + offset, grouped(index));
            let _ = writeln!(
                svg,
                "<path d=\"M{x} {}v-6M{} {y}h-6\" stroke=\"{}\"/><text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{label}</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>",
                TOP - 1,
                LEFT - 1,
                hex(FAINT),
                TOP - 10,
                LEFT - 11,
                y + 4
            );
        }
        let y = TOP + side + 30;
        if let Some((low, high)) = self.legend() {
            let _ = writeln!(
                svg,
                "<linearGradient id=\"shade\"><stop stop-color=\"{}\"/><stop offset=\"1\" stop-color=\"{}\"/></linearGradient>\n<g fill=\"{}\"><text x=\"{LEFT}\" y=\"{}\" font-size=\"14\">{low}</text><rect x=\"{}\" y=\"{y}\" width=\"{BAR}\" height=\"14\" fill=\"url(#shade)\"/><text x=\"{}\" y=\"{}\" font-size=\"14\">{high}</text></g>",
                hex(LIGHT),
                hex(DARK),
                hex(FAINT),
                y + 12,
                LEFT + 24,
                LEFT + 24 + BAR + 12,
                y + 12
            );
        }
        svg += "</svg>\n";
        svg
    }
}

/// Pixels along the bar of shades.
const BAR: usize = 120;

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    let visible: String = text.chars().filter(|letter| !letter.is_control()).collect();
    visible.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let padded = [group[0], *group.get(1).unwrap_or(&0), *group.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for digit in 0..4 {
            match digit <= group.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery::poisson_2d;

    #[test]
    fn base64_pads_as_the_standard_shows() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn ticks_are_round_and_lie_inside() {
        let grid = DensityGrid::of(&poisson_2d(97, 1).unwrap(), 400);
        let ticks = Picture::of(&grid, "poisson").ticks();
        let indices: Vec<usize> = ticks.iter().map(|tick| tick.0).collect();
        assert_eq!(indices, [0, 2000, 4000, 6000, 8000]);
        assert!(ticks.iter().all(|(_, pixel)| *pixel < 800));
    }

    #[test]
    fn both_forms_show_what_is_there() {
        let system = poisson_2d(3, 1).unwrap();
        let grid = DensityGrid::of(&system, 400);
        let picture = Picture::of(&grid, "a<b");
        let svg = picture.to_svg();
        assert!(svg.contains("a&lt;b") && svg.contains("n = 9   33 entries   40.74 %"));
        let pattern = picture.pattern();
        let dark = pattern.count(picture.colour(1.0));
        assert_eq!(dark, 33 * picture.scale * picture.scale);
        assert_eq!(&picture.to_png()[1..4], b"PNG");
    }

    #[test]
    fn one_unknown_can_be_drawn() {
        let grid = DensityGrid::of(&poisson_2d(1, 1).unwrap(), 400);
        let picture = Picture::of(&grid, "one");
        assert_eq!(picture.ticks(), [(0, 0)]);
        assert!(!picture.to_png().is_empty());
    }
}
