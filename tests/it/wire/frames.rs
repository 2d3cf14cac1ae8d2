//! Every kind of frame, as a line.

use std::sync::Arc;

use weir::ids::{FrameSequence, ProbeId, SessionId, SystemVersion};
use weir::policy::correcting::{Cause, DriftKind};
use weir::policy::verification::{Claim, Verdict};
use weir::protocol::frame::{
    ConvergenceSignal, CorrectionMade, CostsAccepted, End, EndReason, EngineUpdate, Frame,
    FrameBody, Heartbeat, IterationUpdate, LastCheck, LiveUpdate, MethodChanged, Performance,
    Prepared, SessionOpened, SettledVersion, Solution, StreamError, Warning, XPartial,
};
use weir::protocol::frame_text::{FrameText, StreamFormat};
use weir::protocol::ndjson;
use weir::protocol::problem::ProblemKind;
use weir::protocol::published::PublishedFrame;
use weir::protocol::timestamp::Timestamp;
use weir::protocol::verification::VerificationResult;
use weir::solver::analysis::Analysis;
use weir::solver::correction::Correction;
use weir::solver::live::{BoundKind, EngineName, StatedBound};
use weir::solver::options::{MethodName, PreconditionerName};
use weir::solver::probe::Probed;
use weir::solver::system::{LinearSystem, MatrixArrays};

pub fn frame(sequence: u64, body: FrameBody) -> Frame {
    Frame {
        session_id: SessionId::from_random_bits(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        sequence: FrameSequence(sequence),
        timestamp: Timestamp { unix_microseconds: 1_758_310_011_605_000 },
        system_version: SystemVersion(0),
        body,
    }
}

fn opened() -> FrameBody {
    let arrays = MatrixArrays::Dense { values: vec![4.0, 1.0, 0.0, 3.0] };
    let system = LinearSystem::assemble(2, 2, arrays, vec![1.0, 2.0]).unwrap();
    FrameBody::SessionOpened(Box::new(SessionOpened {
        analysis: Arc::new(Analysis::of(&system)),
        method_requested: MethodName::Hybrid,
        method: MethodName::Bicgstab,
        preconditioner: PreconditionerName::Ilu,
        reasons: vec!["not symmetric".into(), "said \"quick\"".into()],
        tolerance: 1e-8,
        residual_threshold: 2.236e-8,
        rhs_norm: 2.236,
        max_iterations: 10_000,
        time_budget_ms: None,
        memory_usage_mb: 0.25,
        warnings: vec![Warning { pointer: "/format".into(), detail: "read as rows".into() }],
    }))
}

pub fn update(entries: u32) -> FrameBody {
    FrameBody::IterationUpdate(IterationUpdate {
        iteration: 42,
        x_partial: XPartial {
            indices: (0..entries).map(|index| 613 * index).collect(),
            values: (0..entries).map(|index| 1.0 / f64::from(index + 3)).collect(),
            before: vec![0.0; entries as usize],
        },
        residual_norm: 0.001,
        relative_residual: 4.4e-4,
        convergence_rate: Some(0.95),
        skipped: 0,
        withheld: 0,
        performance: Performance {
            iteration_time_ms: 0.8,
            memory_usage_mb: 150.2,
            flops: 1_500_000,
        },
        live: None,
        verification: None,
    })
}

fn live_update() -> FrameBody {
    let FrameBody::IterationUpdate(update) = update(1) else { unreachable!() };
    FrameBody::IterationUpdate(IterationUpdate {
        live: Some(LiveUpdate {
            converged: false,
            settled: Some(SettledVersion { version: SystemVersion(41), residual_norm: 2.5e-9 }),
            engine: Some(EngineUpdate {
                name: EngineName::Relaxation,
                predicted_ms: 0.1,
                took_ms: 0.12,
                touched_entries: 7_683,
            }),
            error_bound: StatedBound {
                kind: BoundKind::Proven,
                absolute: 3e-9,
                relative: Some(1e-9),
            },
        }),
        verification: Some(LastCheck {
            verified: false,
            score: 0.999,
            checked_version: SystemVersion(40),
            checked_iteration: 39,
        }),
        ..update
    })
}

fn check() -> FrameBody {
    let claim = Claim { order: 1_000, residual_threshold: 1e-6, is_settled: true };
    let row = |row, residual, is_tracked| Probed {
        row,
        residual,
        size: 1.0,
        entries: 5,
        is_tracked,
        is_intact: true,
    };
    let probes = [vec![row(3, 1e-7, true), row(8, 0.0, true)], vec![row(5, -2e-6, false)]];
    FrameBody::VerificationResult(Box::new(VerificationResult {
        probe_id: ProbeId(0x1234),
        checked_version: SystemVersion(40),
        iteration: 39,
        claim,
        verdict: Verdict::of(&claim, &probes),
        exhaustive: false,
        escalated: false,
        correction_applied: true,
        verification_time_ms: 0.25,
    }))
}

fn bodies() -> Vec<FrameBody> {
    vec![
        opened(),
        FrameBody::Prepared(Prepared {
            method: MethodName::Bicgstab,
            preconditioner: PreconditionerName::Ilu,
            description: "ILU(0), 3 entries".into(),
            preparation_time_ms: 0.02,
            memory_usage_mb: 0.3,
        }),
        update(3),
        FrameBody::CostsAccepted(CostsAccepted {
            updates: 3,
            costs: 5,
            entries: 2,
            new_entries: 1,
            skipped: 0,
        }),
        live_update(),
        FrameBody::MethodChanged(MethodChanged {
            iteration: 43,
            from: MethodName::Cg,
            to: MethodName::Gmres,
            preconditioner: PreconditionerName::None,
            reason: "pᵀ A p = -1".into(),
            residual_norm: Some(1e-3),
        }),
        FrameBody::Correction(Box::new(CorrectionMade {
            iteration: 44,
            cause: Cause::Drift(DriftKind::Trend),
            severity: Some(0.13),
            action: Correction::Damp,
            method: MethodName::Jacobi,
            preconditioner: PreconditionerName::None,
            damping: Some(0.8),
            believed_norm: Some(2e-3),
            residual_norm: Some(1e-3),
            repaired_rows: 0,
        })),
        FrameBody::ConvergenceSignal(ConvergenceSignal {
            residual_threshold: 1e-8,
            consecutive_iterations: 10,
            residual_norm: 5.2e-9,
            iterations_below_threshold: 12,
            converged: true,
            settled_version: Some(SystemVersion(41)),
            skipped: 0,
        }),
        check(),
        FrameBody::Solution(Solution {
            error_bound: None,
            iteration: 55,
            residual_norm: 5.2e-9,
            relative_residual: 2.3e-9,
            converged: true,
            x: Arc::new(vec![0.08333333333333333, 0.6666666666666666, -0.0, 1e300]),
        }),
        FrameBody::Snapshot(Solution {
            error_bound: None,
            iteration: 7,
            residual_norm: 0.5,
            relative_residual: 0.25,
            converged: false,
            x: Arc::new(vec![]),
        }),
        FrameBody::Heartbeat(Heartbeat { iteration: 55, uptime_ms: 15_000 }),
        FrameBody::Error(StreamError {
            kind: ProblemKind::Internal,
            detail: "a worker failed".into(),
            way_out: Some("send it again".into()),
        }),
        FrameBody::End(End {
            reason: EndReason::Converged,
            detail: "residual norm 5.2e-9 meets the tolerance".into(),
            iterations: 55,
            residual_norm: Some(5.2e-9),
            relative_residual: None,
            elapsed_ms: 12.5,
            flops: 123,
        }),
    ]
}

#[test]
fn every_frame_is_one_line_of_json() {
    let mut lines = String::new();
    for (position, body) in bodies().into_iter().enumerate() {
        let line = ndjson::line(&frame(position as u64 + 1, body));
        let text = std::str::from_utf8(&line).unwrap();
        assert_eq!(text.find('\n'), Some(text.len() - 1));
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["sequence"], position as u64 + 1);
        lines.push_str(&without_analysis(text, &value));
    }
    insta::assert_snapshot!(lines);
}

/// The line with its analysis left out, which has tests of its own: here it counts that it is the
/// analysis of the system, whole, and the last member.
fn without_analysis(line: &str, value: &serde_json::Value) -> String {
    let Some((before, analysis)) = line.split_once("\"analysis\":") else {
        return line.to_owned();
    };
    let FrameBody::SessionOpened(opened) = opened() else { unreachable!("as built above") };
    let expected = serde_json::to_string(opened.analysis.as_ref()).unwrap();
    assert_eq!(analysis, format!("{expected}}}\n"));
    assert_eq!(
        (&value["analysis"]["order"], &value["analysis"]["nonzeros"]),
        (&2.into(), &3.into())
    );
    format!("{before}\"analysis\":[redacted]}}\n")
}

#[test]
fn numbers_on_the_wire_are_the_numbers_sent() {
    let line = ndjson::line(&frame(1, update(64)));
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let values: Vec<f64> = serde_json::from_value(value["x_partial"]["values"].clone()).unwrap();
    let expected: Vec<f64> = (0..64).map(|index| 1.0 / f64::from(index + 3)).collect();
    assert_eq!(values, expected);
}

/// The text of a frame in pieces of about `piece` bytes.
fn pieces(body: FrameBody, format: StreamFormat, piece: usize) -> Vec<Vec<u8>> {
    let mut text = FrameText::new(Arc::new(PublishedFrame::new(frame(7, body))), format);
    let mut pieces = Vec::new();
    loop {
        let mut out = Vec::new();
        let done = text.append(&mut out, piece);
        pieces.push(out);
        if done {
            return pieces;
        }
    }
}

/// The text of a frame, taken in such pieces.
fn text(body: FrameBody, format: StreamFormat, piece: usize) -> Vec<u8> {
    let pieces = pieces(body, format, piece);
    for out in &pieces {
        assert!(out.len() < piece + 64 || out.len() < 2_000, "a piece stays near its size");
    }
    pieces.concat()
}

fn solution(entries: u32) -> FrameBody {
    FrameBody::Solution(Solution {
        error_bound: None,
        iteration: 1,
        residual_norm: 0.0,
        relative_residual: 0.0,
        converged: true,
        x: Arc::new((0..entries).map(|entry| 1.0 / f64::from(entry + 1)).collect()),
    })
}

#[test]
fn a_long_solution_is_rendered_in_pieces_without_a_seam() {
    for entries in [0, 1, 2, 5_000] {
        let whole = ndjson::line(&frame(7, solution(entries)));
        for piece in [1, 100, 16_384, 10_000_000] {
            assert_eq!(text(solution(entries), StreamFormat::Ndjson, piece), whole);
        }
    }
}

#[test]
fn an_update_of_many_entries_is_rendered_in_pieces_without_a_seam() {
    for entries in [0, 1, 2_048, 2_049, 5_000] {
        let whole = ndjson::line(&frame(7, update(entries)));
        for piece in [1, 100, 16_384, 10_000_000] {
            let pieces = pieces(update(entries), StreamFormat::Ndjson, piece);
            assert!(pieces.concat() == whole, "{entries} entries by {piece} bytes");
            let is_cut = entries > 2_048 && piece < whole.len();
            assert_eq!(pieces.len() > 1, is_cut, "{entries} entries by {piece} bytes");
        }
    }
}

#[test]
fn an_event_of_many_entries_has_its_head_and_its_end_once() {
    let line = ndjson::line(&frame(7, update(5_000)));
    let event = String::from_utf8(text(update(5_000), StreamFormat::Sse, 16_384)).unwrap();
    let (head, data) = event.split_once("data: ").unwrap();
    assert_eq!(head.lines().count(), 2, "{head}");
    assert_eq!(data.as_bytes(), [&line[..], b"\n"].concat());
}

#[test]
fn no_piece_of_a_million_entries_is_longer_than_a_chunk() {
    let pieces = pieces(update(1_000_000), StreamFormat::Ndjson, 16_384);
    let longest = pieces.iter().map(Vec::len).max().unwrap();
    assert!(longest < 16_384 + 512, "{longest} bytes in one piece");
    let value: serde_json::Value = serde_json::from_slice(&pieces.concat()).unwrap();
    assert_eq!(value["x_partial"]["indices"].as_array().unwrap().len(), 1_000_000);
    assert_eq!(value["x_partial"]["values"][999_999], 1.0 / 1_000_002.0);
    assert_eq!(value["performance"]["flops"], 1_500_000);
}

#[test]
fn an_event_carries_the_line_with_its_name_and_an_id_of_its_own() {
    for body in [update(2), solution(3)] {
        let name = body.type_name();
        let line = ndjson::line(&frame(7, body.clone()));
        let event = String::from_utf8(text(body, StreamFormat::Sse, 100)).unwrap();
        let expected = format!(
            "event: {name}\nid: 01234567-89ab-4def-8123-456789abcdef:7\ndata: {}\n",
            std::str::from_utf8(&line).unwrap()
        );
        assert_eq!(event, expected);
    }
}
