//! What the demo prints: with colour and a moving picture on a terminal, as plain lines in a pipe.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use owo_colors::{OwoColorize, Stream};

use crate::cli::demo::curve::Curve;
use crate::runtime::clock::{Clock, Moment};

const REDRAW: Duration = Duration::from_millis(50);

/// Standard output, and how many of the demo's claims held.
pub struct Screen {
    clock: Clock,
    live: bool,
    drawn: Option<Moment>,
    held: u32,
    failed: u32,
}

impl Screen {
    pub fn new(clock: &Clock) -> Self {
        let live = std::io::stdout().is_terminal();
        Self { clock: clock.clone(), live, drawn: None, held: 0, failed: 0 }
    }

    pub fn title(&self, text: &str) {
        println!("\n{}", text.if_supports_color(Stream::Stdout, |text| text.bold()));
    }

    /// A labelled line.
    pub fn line(&self, label: &str, text: &str) {
        let label = format!("{label:<9}");
        println!("  {} {text}", label.if_supports_color(Stream::Stdout, |label| label.dimmed()));
    }

    /// A claim and whether it held.
    pub fn check(&mut self, held: bool, claim: &str) {
        if held {
            self.held += 1;
            println!("  {} {claim}", "✓".if_supports_color(Stream::Stdout, |mark| mark.green()));
        } else {
            self.failed += 1;
            println!("  {} {claim}", "✗".if_supports_color(Stream::Stdout, |mark| mark.red()));
        }
    }

    /// Claims that held, and that did not.
    pub fn tally(&self) -> (u32, u32) {
        (self.held, self.failed)
    }

    /// Redraws the curve in place, at most twenty times a second, on a terminal only.
    pub fn draw_live(&mut self, curve: &Curve) {
        let now = self.clock.now();
        let due = self.drawn.is_none_or(|drawn| now.since(drawn) >= REDRAW);
        if self.live && due {
            self.redraw(curve);
            self.drawn = Some(now);
        }
    }

    /// Draws the curve for the last time.
    pub fn draw_last(&mut self, curve: &Curve) {
        self.redraw(curve);
        self.drawn = None;
    }

    fn redraw(&self, curve: &Curve) {
        let mut text = String::new();
        if self.drawn.is_some() {
            text.push_str(&format!("\x1b[{}A\x1b[J", Curve::LINES));
        }
        for line in curve.render() {
            let line = line.if_supports_color(Stream::Stdout, |line| line.cyan()).to_string();
            text.push_str(&format!("  {line}\n"));
        }
        // A reader that has gone away sees no picture.
        let _ = std::io::stdout().write_all(text.as_bytes());
        let _ = std::io::stdout().flush();
    }
}
