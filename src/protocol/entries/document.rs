//! The answer as one JSON document.

use std::time::Duration;

use crate::protocol::entries::{AnswerGround, EntriesAnswer};
use crate::protocol::frame::Warning;
use crate::protocol::json::{JsonObject, write_string};
use crate::solver::proof::entry::{Accuracy, BoundKind, EntryAnswer};

/// The answer, `application/json`. About 400 bytes an entry.
pub fn to_json(answer: &EntriesAnswer) -> Vec<u8> {
    let EntriesAnswer {
        unknowns,
        nonzeros,
        options,
        ground,
        entries,
        touched_entries,
        took,
        warnings,
    } = answer;
    let mut out = Vec::with_capacity(512 + 512 * entries.len());
    let mut document = JsonObject::open(&mut out);
    if let AnswerGround::Session { session, system_version, converged } = ground {
        document
            .text("session_id", &session.to_string())
            .integer("system_version", system_version.0)
            .flag("converged", *converged);
    }
    document.integer("unknowns", *unknowns as u64).integer("nonzeros", *nonzeros as u64).object(
        "accuracy",
        |object| match options.accuracy {
            Accuracy::Absolute(accuracy) => drop(object.number("absolute", accuracy)),
            Accuracy::Relative(accuracy) => drop(object.number("relative", accuracy)),
        },
    );
    if let AnswerGround::System { set_up, set_up_took } = ground {
        document.object("set_up", |object| {
            object
                .text("finding", &set_up.finding)
                .integer("touched_entries", set_up.touched_entries)
                .number("took_ms", milliseconds(*set_up_took));
        });
    }
    document
        .array("entries", entries, |out, (answer, took)| write_entry(out, answer, *took))
        .integer("touched_entries", *touched_entries)
        .number("took_ms", milliseconds(*took))
        .array("warnings", warnings, |out, Warning { pointer, detail }| {
            let mut object = JsonObject::open(out);
            object.text("pointer", pointer).text("detail", detail);
            object.close();
        });
    document.close();
    out
}

fn write_entry(out: &mut Vec<u8>, answer: &EntryAnswer, took: Duration) {
    let EntryAnswer {
        entry,
        value,
        kind,
        bound,
        failure,
        method,
        reasons,
        touched_entries,
        pushes,
        walks,
        end,
    } = answer;
    let mut object = JsonObject::open(out);
    object
        .integer("entry", *entry as u64)
        .optional_number("value", *value)
        .object("error_bound", |object| {
            object.text("kind", kind.as_str());
            if *kind == BoundKind::None {
                return;
            }
            object
                .optional_number("absolute", Some(*bound).filter(|bound| bound.is_finite()))
                .optional_number("relative", relative(value.unwrap_or(0.0), *bound));
            if *kind == BoundKind::Probabilistic {
                object.number("confidence", 1.0 - failure);
            }
        })
        .text("end", end.as_str())
        .text("method", method.as_str())
        .array("reasons", reasons, |out, reason| write_string(out, reason))
        .integer("touched_entries", *touched_entries)
        .integer("pushes", *pushes)
        .integer("walks", *walks)
        .number("took_ms", milliseconds(took));
    object.close();
}

/// Against `|x*_i|`, which is at least `|value| − bound`; none where that is not positive.
fn relative(value: f64, bound: f64) -> Option<f64> {
    let least = value.abs() - bound;
    let relative = if bound == 0.0 { 0.0 } else { (bound / least).next_up() };
    (bound == 0.0 || least > 0.0).then_some(relative).filter(|relative| relative.is_finite())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
