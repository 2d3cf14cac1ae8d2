//! The residual over the iterations as a picture made of braille dots, two by four in a character.

/// Measured residuals, relative to `‖b‖`.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Iteration and relative residual, iterations ascending.
    points: Vec<(u64, f64)>,
    tolerance: f64,
}

const WIDTH: usize = 64;
const HEIGHT: usize = 9;
const DOTS_ACROSS: usize = 2 * WIDTH;
const DOTS_DOWN: usize = 4 * HEIGHT;

impl Curve {
    /// Lines of the picture.
    pub const LINES: usize = HEIGHT + 1;

    pub fn new(tolerance: f64) -> Self {
        Self { points: vec![], tolerance }
    }

    pub fn push(&mut self, iteration: u64, relative_residual: f64) {
        self.points.push((iteration, relative_residual));
    }

    pub fn count(&self) -> usize {
        self.points.len()
    }

    /// [`Curve::LINES`] lines: decades at the left, the last iteration below.
    pub fn render(&self) -> Vec<String> {
        let (top, bottom) = self.decades();
        let mut dots = Dots::default();
        self.draw(&mut dots, top, bottom);
        let mut lines: Vec<String> = (0..HEIGHT)
            .map(|line| {
                let decade = top - (top - bottom) * line as f64 / (HEIGHT - 1) as f64;
                format!("{:>6} ┤{}", format!("1e{decade:.0}"), dots.line(line))
            })
            .collect();
        let last = self.points.last().map_or(0, |point| point.0);
        lines.push(format!("{:>6} └{:─>width$} {last} iterations", "", "", width = WIDTH));
        lines
    }

    /// Whole decades that hold every point and the tolerance.
    fn decades(&self) -> (f64, f64) {
        let logs = self.points.iter().map(|point| point.1.log10()).filter(|log| log.is_finite());
        let highest = logs.clone().fold(0.0, f64::max);
        let lowest = logs.fold(self.tolerance.log10(), f64::min);
        // What ends just below the tolerance does not open another decade.
        let bottom = (lowest + 0.25).floor().max(-320.0);
        (highest.ceil(), bottom.min(highest.ceil() - 1.0))
    }

    /// One dot for each column at least, and a vertical stroke to where the column before left off.
    fn draw(&self, dots: &mut Dots, top: f64, bottom: f64) {
        let Some(&(last, _)) = self.points.last() else { return };
        let across = |iteration: u64| {
            (iteration as f64 / last.max(1) as f64 * (DOTS_ACROSS - 1) as f64).round() as usize
        };
        let down = |relative_residual: f64| {
            let share = (top - relative_residual.log10()) / (top - bottom);
            // The lines of the axis label the middle of their characters.
            let dot = 1.5 + share.clamp(0.0, 1.0) * (DOTS_DOWN - 4) as f64;
            (dot.round() as usize).min(DOTS_DOWN - 1)
        };
        let mut previous: Option<(usize, usize)> = None;
        for &(iteration, relative_residual) in &self.points {
            let (column, row) = (across(iteration), down(relative_residual));
            let (from_column, from_row) = previous.unwrap_or((column, row));
            for between in from_column..=column {
                let share = (between - from_column) as f64 / (column - from_column).max(1) as f64;
                let reached = from_row as f64 + share * (row as f64 - from_row as f64);
                dots.set(between, reached.round() as usize);
            }
            for between in from_row.min(row)..=from_row.max(row) {
                if from_column == column {
                    dots.set(column, between);
                }
            }
            previous = Some((column, row));
        }
    }
}

/// A picture, each character eight dots.
struct Dots([[u8; WIDTH]; HEIGHT]);

impl Default for Dots {
    fn default() -> Self {
        Self([[0; WIDTH]; HEIGHT])
    }
}

impl Dots {
    fn set(&mut self, column: usize, row: usize) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        self.0[row / 4][column / 2] |= BITS[row % 4][column % 2];
    }

    fn line(&self, line: usize) -> String {
        let character = |&dots: &u8| match dots {
            0 => ' ',
            dots => char::from_u32(0x2800 + u32::from(dots)).expect("a braille character"),
        };
        self.0[line].iter().map(character).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the first and the last character with a dot stand, as (line, column).
    fn ends(curve: &Curve) -> Vec<(usize, usize)> {
        let lines = curve.render();
        let mut found: Vec<(usize, usize)> = lines[..HEIGHT]
            .iter()
            .enumerate()
            .flat_map(|(line, text)| {
                let characters = text.chars().skip(8).enumerate();
                characters.filter(|(_, c)| *c != ' ').map(move |(column, _)| (line, column))
            })
            .collect();
        found.sort_by_key(|&(line, column)| (column, line));
        vec![found[0], found[found.len() - 1]]
    }

    #[test]
    fn a_straight_fall_runs_from_corner_to_corner() {
        let mut curve = Curve::new(1e-8);
        (0..=80).for_each(|iteration| curve.push(iteration, 10f64.powf(-0.1 * iteration as f64)));
        assert_eq!(ends(&curve), [(0, 0), (HEIGHT - 1, WIDTH - 1)]);
        let lines = curve.render();
        assert_eq!(lines.len(), Curve::LINES);
        assert!(lines[0].contains("1e0") && lines[HEIGHT - 1].contains("1e-8"));
        assert!(lines[HEIGHT].ends_with("80 iterations"));
    }

    #[test]
    fn a_rise_above_the_start_and_an_exact_zero_stay_inside() {
        let mut curve = Curve::new(1e-8);
        [1.0, 500.0, 0.0].into_iter().zip(0..).for_each(|(residual, at)| curve.push(at, residual));
        let lines = curve.render();
        assert!(lines[0].contains("1e3"), "{}", lines[0]);
    }

    #[test]
    fn an_empty_curve_has_its_axes() {
        assert_eq!(Curve::new(1e-8).render().len(), Curve::LINES);
    }
}
