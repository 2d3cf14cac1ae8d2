//! Frames as JSON, one line each. The field names are the plan's (2.3, 3.3) where it has the frame.

use bytes::Bytes;

use crate::protocol::frame::{
    ConvergenceSignal, CorrectionMade, CostsAccepted, End, EngineUpdate, Frame, FrameBody,
    Heartbeat, IterationUpdate, LastCheck, LiveUpdate, MethodChanged, Performance, Prepared,
    SessionOpened, SettledVersion, Solution, StreamError, Warning, XPartial,
};
use crate::protocol::json::{JsonObject, write_f64, write_string, write_u64};
use crate::protocol::verification::write_result;
use crate::solver::live::StatedBound;

/// The frame's line, its newline included. A solution of n entries is about 20 n bytes: stream that
/// with [`FrameText`](crate::protocol::frame_text::FrameText) instead.
pub fn line(frame: &Frame) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    write_frame(&mut out, frame);
    out.push(b'\n');
    Bytes::from(out)
}

/// Appends the frame as one JSON object without a line break inside.
pub fn write_frame(out: &mut Vec<u8>, frame: &Frame) {
    let mut object = open(out, frame);
    match &frame.body {
        FrameBody::SessionOpened(opened) => write_opened(&mut object, opened),
        FrameBody::Prepared(prepared) => write_prepared(&mut object, prepared),
        FrameBody::IterationUpdate(update) => write_update(&mut object, update),
        FrameBody::CostsAccepted(accepted) => write_accepted(&mut object, accepted),
        FrameBody::MethodChanged(change) => write_method_changed(&mut object, change),
        FrameBody::Correction(made) => write_correction(&mut object, made),
        FrameBody::ConvergenceSignal(signal) => write_signal(&mut object, signal),
        FrameBody::VerificationResult(result) => write_result(&mut object, result),
        FrameBody::Solution(solution) | FrameBody::Snapshot(solution) => {
            write_solution_state(&mut object, solution);
            object.array("x", solution.x.iter(), |out, &value| write_f64(out, value));
        }
        FrameBody::Heartbeat(heartbeat) => write_heartbeat(&mut object, heartbeat),
        FrameBody::Error(error) => write_error(&mut object, error),
        FrameBody::End(end) => write_end(&mut object, end),
    }
    object.close();
}

/// Appends a solution frame up to and without its first entry, as `…,"x":[`.
pub fn write_solution_head(out: &mut Vec<u8>, frame: &Frame, solution: &Solution) {
    let mut object = open(out, frame);
    write_solution_state(&mut object, solution);
    object.member("x").push(b'[');
}

/// What follows the last entry of a solution frame.
pub const SOLUTION_TAIL: &[u8] = b"]}";

/// Appends an update up to and without its first index, as `…,"x_partial":{"indices":[`.
pub fn write_update_head(out: &mut Vec<u8>, frame: &Frame, update: &IterationUpdate) {
    let mut object = open(out, frame);
    object.integer("iteration", update.iteration);
    JsonObject::open(object.member("x_partial")).member("indices").push(b'[');
}

/// What stands between the last index and the first value of an update.
pub const UPDATE_MIDDLE: &[u8] = b"],\"values\":[";

/// Appends what follows the last value of an update.
pub fn write_update_tail(out: &mut Vec<u8>, update: &IterationUpdate) {
    out.extend_from_slice(b"]}");
    let mut object = JsonObject::resume(out);
    write_update_state(&mut object, update);
    object.close();
}

fn open<'a>(out: &'a mut Vec<u8>, frame: &Frame) -> JsonObject<'a> {
    let Frame { session_id, sequence, timestamp, system_version, body } = frame;
    let mut object = JsonObject::open(out);
    let mut id = [0; 36];
    object
        .plain_text("type", body.type_name().as_bytes())
        .plain_text("session_id", session_id.hyphenated(&mut id))
        .integer("sequence", sequence.0)
        .plain_text("timestamp", &timestamp.rfc3339())
        .integer("system_version", system_version.0);
    object
}

fn write_opened(object: &mut JsonObject<'_>, opened: &SessionOpened) {
    let SessionOpened {
        analysis,
        method_requested,
        method,
        preconditioner,
        reasons,
        tolerance,
        residual_threshold,
        rhs_norm,
        max_iterations,
        time_budget_ms,
        memory_usage_mb,
        warnings,
    } = opened;
    object
        .text("method_requested", method_requested.as_str())
        .text("method", method.as_str())
        .text("preconditioner", preconditioner.as_str())
        .array("reasons", reasons, |out, reason| write_string(out, reason))
        .number("tolerance", *tolerance)
        .number("residual_threshold", *residual_threshold)
        .number("rhs_norm", *rhs_norm)
        .integer("max_iterations", *max_iterations)
        .optional_integer("time_budget_ms", *time_budget_ms)
        .number("memory_usage_mb", *memory_usage_mb)
        .array("warnings", warnings, write_warning);
    serde_json::to_writer(object.member("analysis"), analysis.as_ref())
        .expect("an analysis holds plain values and a vector takes all bytes");
}

/// Appends one warning as an object.
pub fn write_warning(out: &mut Vec<u8>, warning: &Warning) {
    let Warning { pointer, detail } = warning;
    let mut object = JsonObject::open(out);
    object.text("pointer", pointer).text("detail", detail);
    object.close();
}

fn write_prepared(object: &mut JsonObject<'_>, prepared: &Prepared) {
    let Prepared { method, preconditioner, description, preparation_time_ms, memory_usage_mb } =
        prepared;
    object
        .text("method", method.as_str())
        .text("preconditioner", preconditioner.as_str())
        .text("description", description)
        .number("preparation_time_ms", *preparation_time_ms)
        .number("memory_usage_mb", *memory_usage_mb);
}

fn write_update(object: &mut JsonObject<'_>, update: &IterationUpdate) {
    let XPartial { indices, values, before: _ } = &update.x_partial;
    object.integer("iteration", update.iteration).object("x_partial", |object| {
        object.array("indices", indices, |out, &index| write_u64(out, u64::from(index))).array(
            "values",
            values,
            |out, &value| write_f64(out, value),
        );
    });
    write_update_state(object, update);
}

/// What an update says after its entries.
fn write_update_state(object: &mut JsonObject<'_>, update: &IterationUpdate) {
    let IterationUpdate {
        iteration: _,
        x_partial: _,
        residual_norm,
        relative_residual,
        convergence_rate,
        skipped,
        withheld,
        performance,
        live,
        verification,
    } = update;
    let Performance { iteration_time_ms, memory_usage_mb, flops } = performance;
    object
        .number("residual_norm", *residual_norm)
        .number("relative_residual", *relative_residual)
        .optional_number("convergence_rate", *convergence_rate)
        .integer("skipped", *skipped);
    if *withheld > 0 {
        object.integer("withheld", *withheld);
    }
    object.object("performance", |object| {
        object
            .number("iteration_time_ms", *iteration_time_ms)
            .number("memory_usage_mb", *memory_usage_mb)
            .integer("flops", *flops);
    });
    if let Some(live) = live {
        write_live(object, live);
    }
    if let Some(LastCheck { verified, score, checked_version, checked_iteration }) = verification {
        object
            .flag("verified", *verified)
            .number("verification_score", *score)
            .integer("checked_version", checked_version.0)
            .integer("checked_iteration", *checked_iteration);
    }
}

fn write_live(object: &mut JsonObject<'_>, live: &LiveUpdate) {
    let LiveUpdate { converged, settled, engine, error_bound } = live;
    object.flag("converged", *converged);
    if let Some(SettledVersion { version, residual_norm }) = settled {
        object
            .integer("settled_version", version.0)
            .number("settled_residual_norm", *residual_norm);
    }
    if let Some(EngineUpdate { name, predicted_ms, took_ms, touched_entries }) = engine {
        object.object("engine", |object| {
            object
                .text("name", name.as_str())
                .number("predicted_ms", *predicted_ms)
                .number("took_ms", *took_ms)
                .integer("touched_entries", *touched_entries);
        });
    }
    write_bound(object, error_bound);
}

/// What is known of `x* − x`: the absolute bound holds for every entry, the relative one against the
/// largest.
pub fn write_bound(object: &mut JsonObject<'_>, bound: &StatedBound) {
    let StatedBound { kind, absolute, relative } = bound;
    object.object("error_bound", |object| {
        object.text("kind", kind.as_str());
        if absolute.is_finite() {
            object.number("absolute", *absolute);
        }
        object.optional_number("relative", *relative);
    });
}

fn write_accepted(object: &mut JsonObject<'_>, accepted: &CostsAccepted) {
    let CostsAccepted { updates, costs, entries, new_entries, skipped } = accepted;
    object
        .integer("updates", *updates)
        .integer("costs", *costs)
        .integer("entries", *entries)
        .integer("new_entries", *new_entries)
        .integer("skipped", *skipped);
}

fn write_method_changed(object: &mut JsonObject<'_>, change: &MethodChanged) {
    let MethodChanged { iteration, from, to, preconditioner, reason, residual_norm } = change;
    object
        .integer("iteration", *iteration)
        .text("from", from.as_str())
        .text("to", to.as_str())
        .text("preconditioner", preconditioner.as_str())
        .text("reason", reason)
        .optional_number("residual_norm", *residual_norm);
}

fn write_correction(object: &mut JsonObject<'_>, made: &CorrectionMade) {
    let CorrectionMade {
        iteration,
        cause,
        severity,
        action,
        method,
        preconditioner,
        damping,
        believed_norm,
        residual_norm,
        repaired_rows,
    } = made;
    object.integer("iteration", *iteration).object("cause", |object| {
        object.text("kind", cause.as_str()).optional_number("severity", *severity);
    });
    object.text("action", action.as_str()).object("effect", |object| {
        object
            .text("method", method.as_str())
            .text("preconditioner", preconditioner.as_str())
            .optional_number("damping", *damping)
            .optional_number("believed_residual_norm", *believed_norm)
            .optional_number("residual_norm", *residual_norm)
            .integer("repaired_rows", *repaired_rows);
    });
}

fn write_signal(object: &mut JsonObject<'_>, signal: &ConvergenceSignal) {
    let ConvergenceSignal {
        residual_threshold,
        consecutive_iterations,
        residual_norm,
        iterations_below_threshold,
        converged,
        settled_version,
        skipped,
    } = signal;
    object
        .object("criteria", |object| {
            object
                .number("residual_threshold", *residual_threshold)
                .integer("consecutive_iterations", *consecutive_iterations);
        })
        .object("current_state", |object| {
            object
                .number("residual_norm", *residual_norm)
                .integer("iterations_below_threshold", *iterations_below_threshold);
        })
        .flag("converged", *converged);
    if let Some(version) = settled_version {
        object.integer("settled_version", version.0);
    }
    if *skipped > 0 {
        object.integer("skipped", *skipped);
    }
}

fn write_solution_state(object: &mut JsonObject<'_>, solution: &Solution) {
    let Solution { iteration, residual_norm, relative_residual, converged, error_bound, x } =
        solution;
    object
        .integer("iteration", *iteration)
        .number("residual_norm", *residual_norm)
        .number("relative_residual", *relative_residual)
        .flag("converged", *converged)
        .integer("unknowns", x.len() as u64);
    if let Some(bound) = error_bound {
        write_bound(object, bound);
    }
}

fn write_heartbeat(object: &mut JsonObject<'_>, heartbeat: &Heartbeat) {
    let Heartbeat { iteration, uptime_ms } = heartbeat;
    object.integer("iteration", *iteration).integer("uptime_ms", *uptime_ms);
}

fn write_error(object: &mut JsonObject<'_>, error: &StreamError) {
    let StreamError { kind, detail, way_out } = error;
    object.object("problem", |object| {
        object
            .text("type", &format!("/problems/{}", kind.code()))
            .text("title", kind.title())
            .integer("status", u64::from(kind.status()))
            .text("detail", detail);
        if let Some(way_out) = way_out {
            object.text("way_out", way_out);
        }
    });
}

fn write_end(object: &mut JsonObject<'_>, end: &End) {
    let End { reason, detail, iterations, residual_norm, relative_residual, elapsed_ms, flops } =
        end;
    object
        .text("reason", reason.as_str())
        .text("detail", detail)
        .integer("iterations", *iterations)
        .optional_number("residual_norm", *residual_norm)
        .optional_number("relative_residual", *relative_residual)
        .number("elapsed_ms", *elapsed_ms)
        .integer("flops", *flops);
}
