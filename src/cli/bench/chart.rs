//! Draws what a session told through a storm, as one SVG for light and dark pages: changes a second,
//! residual and bound on one logarithmic scale, and who worked.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::bench::storm::{State, Told};
use crate::cli::text::grouped;
use crate::solver::live::{BoundKind, EngineName};

const WIDTH: usize = 960;
const LEFT: f64 = 84.0;
/// Room for the names of the curves.
const RIGHT: f64 = 116.0;
/// Columns of the plot, a pixel each.
const COLUMNS: usize = WIDTH - LEFT as usize - RIGHT as usize;

const RAIN_TOP: f64 = 96.0;
const RAIN_HEIGHT: f64 = 64.0;
const CURVES_TOP: f64 = 196.0;
const CURVES_HEIGHT: f64 = 248.0;
const ENGINES_TOP: f64 = 474.0;
const ENGINES_HEIGHT: f64 = 18.0;
const HEIGHT: usize = 560;

/// Decades that are shown at most, from the highest down.
const DECADES_MAX: i32 = 18;

const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:var(--ink)}
.title{font-size:18px;font-weight:600}.faint{fill:var(--faint)}.mark{font-size:12px;fill:var(--faint)}
.end{text-anchor:end}.middle{text-anchor:middle}.strong{font-weight:600}
.rule{stroke:var(--rule);fill:none}.goal{stroke:var(--faint);stroke-dasharray:5 4;fill:none}
svg{--paper:#fff;--ink:#1f2937;--faint:#6b7280;--rule:#e5e7eb;--rain:#94a3b8;--rain-a:#b45309;\
--residual:#2563eb;--bound:#c2410c;--relaxation:#0d9488;--path:#7c3aed;--iteration:#d97706}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--faint:#9198a1;--rule:#262c36;\
--rain:#64748b;--rain-a:#f59e0b;--residual:#60a5fa;--bound:#fb923c;--relaxation:#2dd4bf;--path:#a78bfa;\
--iteration:#fbbf24}}";

/// The least and the greatest of a column, and the last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    low: f64,
    high: f64,
    last: f64,
}

/// What was told, by columns of the plot.
pub struct Chart<'a> {
    title: &'a str,
    told: &'a Told,
    residual: Vec<Option<Span>>,
    bound: Vec<Option<Span>>,
    /// Changes of b and of A a second.
    rain: Vec<(f64, f64)>,
    engines: Vec<Option<EngineName>>,
}

impl<'a> Chart<'a> {
    /// `title` is the command that draws it again.
    pub fn of(title: &'a str, told: &'a Told) -> Self {
        let bound = |state: &State| match state.bound {
            BoundKind::Proven => state.relative_bound,
            BoundKind::Estimated | BoundKind::None => None,
        };
        let spans = |value: &dyn Fn(&State) -> Option<f64>| spans(told, value);
        Self {
            title,
            told,
            residual: spans(&|state| Some(state.relative_residual)),
            bound: spans(&bound),
            rain: rain(told),
            engines: engines(told),
        }
    }

    /// The whole picture.
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" style=\"fill:var(--paper)\"/>",
            self.title
        );
        self.draw_head(&mut svg);
        self.draw_time(&mut svg);
        self.draw_rain(&mut svg);
        self.draw_curves(&mut svg);
        self.draw_engines(&mut svg);
        svg += "</svg>\n";
        svg
    }

    fn draw_head(&self, svg: &mut String) {
        let Told { states, took, .. } = self.told;
        let proven = states.iter().filter(|state| state.bound == BoundKind::Proven).count();
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"{LEFT}\" y=\"34\">A system kept solved through {} changes in {:.1} s</text>\n<text class=\"faint\" x=\"{LEFT}\" y=\"56\">{} states announced, {} with a proven bound; a change is in a settled state after {}</text>\n<text class=\"mark\" x=\"{LEFT}\" y=\"{}\">{}</text>",
            grouped(self.told.changes() as usize),
            took.as_secs_f64(),
            grouped(states.len()),
            if proven == states.len() { "all".to_owned() } else { grouped(proven) },
            self.told.staleness_in_words(),
            HEIGHT - 14,
            self.title,
        );
    }

    /// Seconds, as rules through all that is drawn.
    fn draw_time(&self, svg: &mut String) {
        let total = self.told.took.as_secs_f64();
        let step = round_step(total / 8.0);
        let bottom = ENGINES_TOP + ENGINES_HEIGHT;
        let mut second = 0.0;
        while second <= total {
            let x = LEFT + second / total * COLUMNS as f64;
            let _ = writeln!(
                svg,
                "<path class=\"rule\" d=\"M{x:.1} {RAIN_TOP}V{bottom}\"/><text class=\"mark middle\" x=\"{x:.1}\" y=\"{}\">{}</text>",
                bottom + 22.0,
                trimmed(second, " s")
            );
            second += step;
        }
    }

    fn draw_rain(&self, svg: &mut String) {
        let top = self.rain_top();
        let bottom = RAIN_TOP + RAIN_HEIGHT;
        let (mut of_b, mut of_a) = (String::new(), String::new());
        for (column, (b, a)) in self.rain.iter().enumerate() {
            let part = |rate: f64| (rate / top).min(1.0) * RAIN_HEIGHT;
            let (b, a) = (part(*b), part(b + a) - part(*b));
            let x = LEFT + column as f64;
            if b > 0.0 {
                let _ = write!(of_b, "M{x} {bottom}v{:.1}h1V{bottom}z", -b.max(0.5));
            }
            if a > 0.0 {
                let _ =
                    write!(of_a, "M{x} {:.1}v{:.1}h1V{:.1}z", bottom - b, -a.max(1.5), bottom - b);
            }
        }
        let middle = RAIN_TOP + RAIN_HEIGHT / 2.0;
        let _ = writeln!(
            svg,
            "<path style=\"fill:var(--rain)\" d=\"{of_b}\"/><path style=\"fill:var(--rain-a)\" d=\"{of_a}\"/><path class=\"rule\" d=\"M{LEFT} {bottom}h{COLUMNS}\"/>\n<text class=\"mark end\" x=\"{}\" y=\"{}\">{}</text><text class=\"mark end\" x=\"{}\" y=\"{bottom}\">0</text>",
            LEFT - 10.0,
            RAIN_TOP + 6.0,
            grouped(top as usize),
            LEFT - 10.0,
        );
        let beside = LEFT + COLUMNS as f64 + 10.0;
        let _ = writeln!(
            svg,
            "<text class=\"strong\" x=\"{LEFT}\" y=\"{}\">changes a second</text><text class=\"mark\" x=\"{beside}\" y=\"{}\">of b</text><text class=\"mark\" style=\"fill:var(--rain-a)\" x=\"{beside}\" y=\"{}\">of A, on top</text>",
            RAIN_TOP - 10.0,
            middle + 12.0,
            middle - 6.0,
        );
    }

    /// A round number that few columns exceed: bursts after a pause are cut off.
    fn rain_top(&self) -> f64 {
        let mut rates: Vec<f64> = self.rain.iter().map(|(of_b, of_a)| of_b + of_a).collect();
        rates.sort_by(f64::total_cmp);
        let most = (1.1 * rates[rates.len() * 96 / 100]).max(10.0);
        [1.0, 2.0, 2.5]
            .map(|factor| factor * round_step(most))
            .into_iter()
            .find(|top| *top >= most)
            .unwrap_or(most)
    }

    fn draw_curves(&self, svg: &mut String) {
        let (low, high) = self.decades();
        let y = |value: f64| {
            let part = (f64::from(high) - value.max(1e-300).log10()) / f64::from(high - low);
            CURVES_TOP + part.clamp(0.0, 1.0) * CURVES_HEIGHT
        };
        let step = if high - low > 8 { 3 } else { 1 };
        for decade in (low..=high).rev().step_by(step) {
            let at = y(10f64.powi(decade));
            let _ = writeln!(
                svg,
                "<path class=\"rule\" d=\"M{LEFT} {at:.1}h{COLUMNS}\"/><text class=\"mark end\" x=\"{}\" y=\"{:.1}\">1e{decade}</text>",
                LEFT - 10.0,
                at + 4.0
            );
        }
        let goal = y(self.told.tolerance);
        let beside = LEFT + COLUMNS as f64 + 10.0;
        let _ = writeln!(
            svg,
            "<path class=\"goal\" d=\"M{LEFT} {goal:.1}h{COLUMNS}\"/><text class=\"strong\" x=\"{LEFT}\" y=\"{}\">residual, and error of x at most</text>",
            CURVES_TOP - 12.0
        );
        let lowest = CURVES_TOP + CURVES_HEIGHT - 15.0;
        let mut taken = vec![goal + 4.0];
        let _ = writeln!(
            svg,
            "<text class=\"mark\" x=\"{beside}\" y=\"{:.1}\">tolerance</text>",
            goal + 4.0
        );
        for (spans, colour, names) in [
            (&self.bound, "bound", ["proven bound", "‖x* − x‖∞ / ‖x*‖∞"]),
            (&self.residual, "residual", ["residual", "‖b − A x‖₂ / ‖b‖₂"]),
        ] {
            draw_spans(svg, spans, colour, &y);
            if let Some(last) = spans.iter().rev().flatten().next() {
                let at = free_line(&taken, (y(last.last) + 4.0).min(lowest), lowest);
                let _ = writeln!(
                    svg,
                    "<text class=\"strong\" style=\"fill:var(--{colour})\" x=\"{beside}\" y=\"{at:.1}\">{}</text><text class=\"mark\" style=\"font-size:11px\" x=\"{beside}\" y=\"{:.1}\">{}</text>",
                    names[0],
                    at + 15.0,
                    names[1],
                );
                taken.extend([at, at + 15.0]);
            }
        }
    }

    /// The decades that hold both curves and the tolerance.
    fn decades(&self) -> (i32, i32) {
        let spans = || self.residual.iter().chain(&self.bound).flatten();
        let is_seen = |value: &f64| *value > 0.0 && value.is_finite();
        let greatest = spans().map(|span| span.high).filter(is_seen);
        let least = spans().map(|span| span.low).filter(is_seen);
        let high = greatest.fold(self.told.tolerance, f64::max).log10().ceil() as i32;
        let low = least.fold(self.told.tolerance, f64::min).log10().floor() as i32;
        (low.clamp(high - DECADES_MAX, high - 2), high)
    }

    fn draw_engines(&self, svg: &mut String) {
        let mut from = 0;
        while from < COLUMNS {
            let engine = self.engines[from];
            let length = self.engines[from..].iter().take_while(|other| **other == engine).count();
            if let Some(engine) = engine {
                let _ = writeln!(
                    svg,
                    "<path style=\"fill:var(--{engine})\" d=\"M{} {ENGINES_TOP}h{length}v{ENGINES_HEIGHT}h-{length}z\"/>",
                    LEFT + from as f64
                );
            }
            from += length;
        }
        let mut strokes = String::new();
        for (at, _) in &self.told.set_ups {
            let x = LEFT + column_of(self.told, *at) as f64;
            let _ = write!(strokes, "M{x} {}v5", ENGINES_TOP + ENGINES_HEIGHT + 1.0);
        }
        let line = ENGINES_TOP - 8.0;
        let _ = writeln!(
            svg,
            "<path style=\"stroke:var(--ink)\" d=\"{strokes}\"/><text class=\"strong\" x=\"{LEFT}\" y=\"{line}\">engine at work</text>",
        );
        let names = EngineName::ALL.into_iter().filter(|name| self.engines.contains(&Some(*name)));
        for (place, engine) in names.enumerate() {
            let x = LEFT + 116.0 + 96.0 * place as f64;
            let _ = writeln!(
                svg,
                "<rect style=\"fill:var(--{engine})\" x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\" rx=\"2\"/><text x=\"{}\" y=\"{line}\">{engine}</text>",
                line - 9.5,
                x + 15.0
            );
        }
        if !self.told.set_ups.is_empty() {
            let _ = writeln!(
                svg,
                "<text class=\"mark end\" x=\"{}\" y=\"{line}\">strokes: a set-up came home</text>",
                LEFT + COLUMNS as f64
            );
        }
    }
}

/// Two lines of text at about `wanted`, below or above what is there, the first at `lowest` at most.
fn free_line(taken: &[f64], wanted: f64, lowest: f64) -> f64 {
    const LINE: f64 = 17.0;
    let is_free = |at: f64| {
        let is_clear =
            |other: &f64| (at - other).abs() >= LINE && (at + 15.0 - other).abs() >= LINE;
        at <= lowest && taken.iter().all(is_clear)
    };
    let steps = (0..80).flat_map(|step| [wanted - f64::from(step), wanted + f64::from(step)]);
    steps.into_iter().find(|at| is_free(*at)).unwrap_or(wanted)
}

/// The band between least and greatest, and the last of each column as a line.
fn draw_spans(svg: &mut String, spans: &[Option<Span>], colour: &str, y: &impl Fn(f64) -> f64) {
    let (mut band, mut line) = (String::new(), String::new());
    let mut is_drawing = false;
    for (column, span) in spans.iter().enumerate() {
        let Some(span) = span else {
            is_drawing = false;
            continue;
        };
        let x = LEFT + column as f64;
        let (top, bottom) = (y(span.high), y(span.low));
        if bottom - top > 0.5 {
            let _ = write!(band, "M{x} {top:.1}h1V{bottom:.1}h-1z");
        }
        let command = if is_drawing { 'L' } else { 'M' };
        let _ = write!(line, "{command}{:.1} {:.1}", x + 0.5, y(span.last));
        is_drawing = true;
    }
    let _ = writeln!(
        svg,
        "<path style=\"fill:var(--{colour});opacity:.32\" d=\"{band}\"/><path style=\"stroke:var(--{colour});stroke-width:1.6;stroke-linejoin:round;fill:none\" d=\"{line}\"/>"
    );
}

fn column_of(told: &Told, at: Duration) -> usize {
    let part = at.as_secs_f64() / told.took.as_secs_f64().max(1e-9);
    ((part * COLUMNS as f64) as usize).min(COLUMNS - 1)
}

/// What the states of each column say; a column without any goes on with what was said last.
fn spans(told: &Told, value: &dyn Fn(&State) -> Option<f64>) -> Vec<Option<Span>> {
    let mut spans: Vec<Option<Span>> = vec![None; COLUMNS];
    let mut is_told = vec![false; COLUMNS];
    for state in &told.states {
        let column = column_of(told, state.at);
        is_told[column] = true;
        let Some(value) = value(state) else { continue };
        let span = spans[column].get_or_insert(Span { low: value, high: value, last: value });
        *span = Span { low: span.low.min(value), high: span.high.max(value), last: value };
    }
    let mut last = None;
    for (span, is_told) in spans.iter_mut().zip(is_told) {
        match (is_told, last) {
            (false, Some(last)) => *span = Some(Span { low: last, high: last, last }),
            _ => last = span.map(|span: Span| span.last),
        }
    }
    spans
}

fn rain(told: &Told) -> Vec<(f64, f64)> {
    let width = told.took.as_secs_f64().max(1e-9) / COLUMNS as f64;
    let mut rain = vec![(0.0, 0.0); COLUMNS];
    for burst in &told.bursts {
        let (of_b, of_a) = &mut rain[column_of(told, burst.at)];
        *of_b += burst.of_b as f64 / width;
        *of_a += burst.of_a as f64 / width;
    }
    // A burst falls into one column or the next by chance.
    let mean = |at: usize| {
        let part = &rain[at.saturating_sub(2)..(at + 3).min(COLUMNS)];
        let count = part.len() as f64;
        let sum = part.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (sum.0 / count, sum.1 / count)
    };
    (0..COLUMNS).map(mean).collect()
}

/// Who worked last in each column.
fn engines(told: &Told) -> Vec<Option<EngineName>> {
    let mut engines = vec![None; COLUMNS];
    for state in &told.states {
        if let Some(engine) = state.engine {
            engines[column_of(told, state.at)] = Some(engine);
        }
    }
    let mut last = None;
    for engine in &mut engines {
        last = engine.or(last);
        *engine = last;
    }
    engines
}

/// The largest of 1, 2, 5 times a power of ten that is not above `value`.
fn round_step(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0]
        .into_iter()
        .map(|factor| factor * decade)
        .find(|step| *step <= value * 1.000_1)
        .unwrap_or(decade)
}

fn trimmed(value: f64, unit: &str) -> String {
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::storm::Burst;

    fn state(at: u64, relative_residual: f64, engine: Option<EngineName>) -> State {
        State {
            at: Duration::from_millis(at),
            version: at,
            relative_residual,
            converged: relative_residual <= 1e-8,
            settled_version: (relative_residual <= 1e-8).then_some(at),
            bound: BoundKind::Proven,
            relative_bound: Some(1e3 * relative_residual),
            engine,
        }
    }

    fn told() -> Told {
        let states = vec![
            state(0, 1e-9, Some(EngineName::Path)),
            state(500, 1e-3, None),
            state(501, 5e-9, Some(EngineName::Relaxation)),
        ];
        let bursts =
            vec![Burst { at: Duration::from_millis(499), of_b: 10, of_a: 1, version: 501 }];
        Told { tolerance: 1e-8, bursts, states, set_ups: vec![], took: Duration::from_secs(1) }
    }

    #[test]
    fn a_column_holds_what_was_said_in_it_and_goes_on_with_the_last() {
        let told = told();
        let chart = Chart::of("storm", &told);
        let middle = chart.residual[COLUMNS / 2].unwrap();
        assert_eq!((middle.low, middle.high, middle.last), (5e-9, 1e-3, 5e-9));
        assert_eq!(chart.residual[COLUMNS - 1].unwrap().last, 5e-9);
        assert_eq!(chart.residual[COLUMNS / 4].unwrap().last, 1e-9);
        assert_eq!(chart.engines[COLUMNS / 4], Some(EngineName::Path));
        assert_eq!(chart.engines[COLUMNS - 1], Some(EngineName::Relaxation));
    }

    #[test]
    fn all_that_fell_is_drawn() {
        let told = told();
        let rain = Chart::of("storm", &told).rain;
        let width = 1.0 / COLUMNS as f64;
        let (of_b, of_a) = rain.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert!((of_b * width - 10.0).abs() < 1e-9 && (of_a * width - 1.0).abs() < 1e-9);
    }

    #[test]
    fn steps_are_round() {
        for (value, step) in [(0.9, 0.5), (1.0, 1.0), (7.3, 5.0), (26_000.0, 20_000.0)] {
            assert!((round_step(value) / step - 1.0).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn the_picture_names_its_curves_and_fits_light_and_dark() {
        let told = told();
        let svg = Chart::of("weir bench live", &told).to_svg();
        for what in ["proven bound", "residual", "tolerance", "relaxation", "prefers-color-scheme"]
        {
            assert!(svg.contains(what), "{what}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
