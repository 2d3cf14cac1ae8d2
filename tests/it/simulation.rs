//! The same actors on a paused clock: what a scenario shows, and that it shows it every time.

use std::time::Duration;

use weir::simulation::scenario::Scenario;
use weir::simulation::world::{self, WorldOutcome};

const LIVE_COSTS: &str = include_str!("../../scenarios/live_costs.yaml");
const CONSTANT_STORM: &str = include_str!("../../scenarios/storm.yaml");
const DRIFT: &str = include_str!("../../scenarios/drift.yaml");
const MEMORY: &str = include_str!("../../scenarios/memory.yaml");
const CLIENT_LEAVES: &str = include_str!("../../scenarios/client_leaves.yaml");

fn run(text: &str, seed: u64) -> WorldOutcome {
    let scenario = Scenario::from_yaml(text).unwrap();
    world::run(&scenario, seed).unwrap()
}

#[test]
fn a_client_that_leaves_stops_its_session_and_nobody_elses() {
    let outcome = run(CLIENT_LEAVES, 1);
    assert_eq!((outcome.clients_done, outcome.clients), (2, 2));
    assert!(outcome.trace.contains("session_ended hasty listener_gone"), "{}", outcome.trace);
    insta::assert_snapshot!("client_leaves", outcome.trace);
}

#[test]
fn a_live_session_works_in_what_its_client_sends() {
    let outcome = run(LIVE_COSTS, 1);
    assert_eq!((outcome.clients_done, outcome.clients), (2, 2));
    assert!(outcome.trace.contains("update 5 counts from version 5"), "{}", outcome.trace);
    assert_eq!(outcome.trace, run(LIVE_COSTS, 1).trace);
    insta::assert_snapshot!("live_costs", outcome.trace);
}

#[test]
fn equal_seeds_give_equal_bytes_and_others_differ() {
    let traces: Vec<String> = [7, 7, 8].map(|seed| run(CLIENT_LEAVES, seed).trace).into();
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], traces[2]);
}

#[test]
fn worlds_on_other_threads_give_the_same_bytes() {
    let here = run(CLIENT_LEAVES, 3).trace;
    let elsewhere: Vec<String> = std::thread::scope(|threads| {
        let worlds: Vec<_> =
            (0..3).map(|_| threads.spawn(|| run(CLIENT_LEAVES, 3).trace)).collect();
        worlds.into_iter().map(|world| world.join().unwrap()).collect()
    });
    assert!(elsewhere.iter().all(|trace| *trace == here));
}

#[test]
fn work_takes_simulated_time() {
    let slower =
        CLIENT_LEAVES.replace("workers: 1", "workers: 1\n  picoseconds_per_nonzero: 15000");
    let (fast, slow) = (run(CLIENT_LEAVES, 1), run(&slower, 1));
    let ended = |outcome: &WorldOutcome| {
        let line = outcome.trace.lines().find(|line| line.contains("session_ended patient"));
        line.unwrap().split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    assert!(ended(&slow) > 3.0 * ended(&fast), "{} against {}", ended(&slow), ended(&fast));
}

/// The lines of what a session's listener saw, and of what happened to it, that have this in them.
fn lines_of<'t>(trace: &'t str, session: &str, what: &str) -> Vec<&'t str> {
    let names = [format!("/{session} "), format!(" {session} ")];
    let is_one =
        |line: &&str| names.iter().any(|name| line.contains(name.as_str())) && line.contains(what);
    trace.lines().filter(is_one).collect()
}

/// What a trace says of faults, drifts, corrections and ends, for a person to judge.
fn story(trace: &str) -> String {
    let told =
        ["memory ", "drift_found", "correction:", "method_changed", "session_ended", "error:"];
    let is_told = |line: &&str| told.iter().any(|word| line.contains(word));
    trace.lines().filter(is_told).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_residual_that_leaves_its_way_is_brought_back() {
    let outcome = run(DRIFT, 1);
    assert_eq!((outcome.clients_done, outcome.clients), (5, 5));
    assert_eq!(outcome.trace, run(DRIFT, 1).trace);
    let healed = [
        ("little", "damp for residual_trend"),
        ("moderate", "precondition for residual_trend"),
        ("diverging", "other_method for divergence"),
        ("altered", "restart for residual_gap"),
        ("standing", "other_method for stagnation"),
    ];
    for (session, expected) in healed {
        let corrections = lines_of(&outcome.trace, session, "correction:");
        assert!(corrections.len() == 1 && corrections[0].contains(expected), "{corrections:#?}");
        let ended = lines_of(&outcome.trace, session, "session_ended");
        assert!(ended[0].contains("converged"), "{ended:?}");
    }
    insta::assert_snapshot!("drift", story(&outcome.trace));
}

/// What heals a session is what heals it: without it the same session does not come to its end.
#[test]
fn without_corrections_the_same_solves_fail_or_take_far_longer() {
    let uncorrected = DRIFT
        .replace("    update_every", "    auto_correction: false\n    update_every")
        .replace("    time_limit: 20 s", "    time_limit: 200 s");
    let outcome = run(&uncorrected, 1);
    assert!(!outcome.trace.contains("correction:"), "{}", outcome.trace);
    for (session, reason) in [
        ("little", "diverged"),
        ("moderate", "diverged"),
        ("diverging", "diverged"),
        ("standing", "stagnated"),
    ] {
        let ended = lines_of(&outcome.trace, session, "session_ended");
        assert!(ended[0].contains(reason), "{ended:?}");
    }
    // The directions of `altered` are conjugate no longer, and it is never told.
    let iterations = |outcome: &WorldOutcome| -> u64 {
        let ended = lines_of(&outcome.trace, "altered", "session_ended")[0];
        let words: Vec<&str> = ended.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "iteration").unwrap();
        words[at + 1].parse().unwrap()
    };
    let (alone, corrected) = (iterations(&outcome), iterations(&run(DRIFT, 1)));
    assert!(alone > 3 * corrected, "{alone} iterations against {corrected}");
}

#[test]
fn memory_that_is_altered_is_found_and_mended_or_the_session_says_that_it_is_lost() {
    let outcome = run(MEMORY, 1);
    assert_eq!(outcome.trace, run(MEMORY, 1).trace);
    let corrections = lines_of(&outcome.trace, "resting", "correction:");
    assert!(corrections[0].contains("restart for untracked_rows"), "{corrections:#?}");
    assert!(corrections[1].contains("repair for altered_rows"), "{corrections:#?}");
    assert!(corrections[1].contains("1 rows repaired") && corrections.len() == 2);
    let last = *lines_of(&outcome.trace, "resting", "verification_result").last().unwrap();
    assert!(last.contains("verified true"), "{last}");
    for session in ["lost", "solving"] {
        let ended = lines_of(&outcome.trace, session, "session_ended");
        assert!(ended[0].contains(" corrupted "), "{ended:?}");
        let told = lines_of(&outcome.trace, session, "error:");
        assert!(told[0].contains("row 70 the first"), "{told:?}");
        let left = lines_of(&outcome.trace, session, "solution: ");
        // The live one had come to a solution before.
        assert_eq!(left.len(), usize::from(session == "lost"), "{left:?}");
    }
    assert!(lines_of(&outcome.trace, "unmended", "correction:").is_empty());
    let found = lines_of(&outcome.trace, "unmended", "verified false");
    assert!(!found.is_empty(), "what is not mended is told all the same");
    insta::assert_snapshot!("memory", story(&outcome.trace));
}

const CHECKED: &str = "
name: states that are checked as they come
time_limit: 10 s
node: { workers: 1 }
sessions:
  - name: live
    system: { kind: diagonally_dominant, unknowns: 3000, nonzeros: 15000 }
    verification_interval: 5
    costs: { starts_at: 10 ms, every: 50us, updates: 200, costs: 20, entries: 1 }
  - name: slow
    system: { kind: poisson_2d, side: 60 }
    method: jacobi
    tolerance: 1.0e-3
    verification_interval: 50
    client: { opens_at: 2 s }
";

#[test]
fn states_are_checked_as_they_come_and_found_true_or_not_there_yet() {
    let outcome = run(CHECKED, 1);
    assert_eq!((outcome.clients_done, outcome.clients), (2, 2));
    assert_eq!(outcome.trace, run(CHECKED, 1).trace);
    let checks = |session: &str| -> Vec<&str> {
        let marks = [format!("client/{session} "), "verification_result".to_owned()];
        let is_one = |line: &&str| marks.iter().all(|mark| line.contains(mark.as_str()));
        outcome.trace.lines().filter(is_one).collect()
    };
    let live = checks("live");
    // About 60 ms of work, of which checks of some 20 µs may take 2 %.
    assert!((20..=60).contains(&live.len()), "{} checks: {live:#?}", live.len());
    let drawn = live.iter().filter(|line| !line.contains("3000 of 3000 rows"));
    assert!(drawn.count() >= 3, "{live:#?}");
    for line in &live {
        assert!(line.contains("score 1.000") || line.contains("verified false"), "{line}");
        assert!(!line.contains("escalated"), "a true state was suspected: {line}");
    }
    let (last, slow) =
        checks("slow").split_last().map(|(last, rest)| (*last, rest.to_vec())).unwrap();
    assert!(slow.len() >= 2, "{}", outcome.trace);
    assert!(slow.iter().all(|line| line.contains("verified false")), "{slow:#?}");
    assert!(last.contains("verified true") && last.contains("3600 of 3600 rows"), "{last}");
}

#[test]
fn a_session_that_wants_no_checks_has_none() {
    let unchecked = CHECKED
        .replace("verification_interval: 50", "verification_interval: 0")
        .replace("verification_interval: 5", "verification_interval: 0");
    let outcome = run(&unchecked, 1);
    assert_eq!((outcome.clients_done, outcome.clients), (2, 2));
    assert!(!outcome.trace.contains("verification_result"), "{}", outcome.trace);
}

#[test]
fn a_slow_reader_is_conflated_and_still_gets_its_end() {
    let slow = CLIENT_LEAVES
        .replace("update_every: 500", "update_every: 1")
        .replace("leaves_at: 6 ms", "pause: 400 ms");
    let outcome = run(&slow, 1);
    assert!(outcome.trace.contains("skipped"), "{}", outcome.trace);
    assert!(outcome.trace.contains("converged after"), "{}", outcome.trace);
}

#[test]
fn a_listener_that_takes_nothing_is_given_up() {
    let stalled = CLIENT_LEAVES
        .replace("workers: 1", "workers: 1\n  stall_limit: 100 ms")
        .replace("update_every: 500", "update_every: 1")
        .replace("leaves_at: 6 ms", "pause: 1 s");
    let outcome = run(&stalled, 1);
    assert!(outcome.trace.contains("listener_left hasty #1 Stalled"), "{}", outcome.trace);
    assert!(outcome.elapsed < Duration::from_secs(3));
}

#[test]
fn a_silent_session_sends_heartbeats() {
    let silent = CLIENT_LEAVES
        .replace("workers: 1", "workers: 1\n  heartbeat_interval: 1 ms")
        .replace("update_every: 500", "update_every: 100000")
        .replace("leaves_at: 6 ms", "leaves_at: 9 ms");
    let outcome = run(&silent, 1);
    assert!(outcome.trace.matches("client/hasty").count() > 5, "{}", outcome.trace);
    assert!(outcome.trace.contains("heartbeat: iteration"), "{}", outcome.trace);
}

#[test]
fn a_time_budget_ends_a_solve_with_its_state() {
    let budget = CLIENT_LEAVES.replace("update_every: 500", "time_budget: 3 ms");
    let outcome = run(&budget, 1);
    assert!(outcome.trace.contains("time_budget after"), "{}", outcome.trace);
    assert!(outcome.trace.contains("solution: 1600 entries"), "{}", outcome.trace);
}

/// `count` sessions of one size, and one that is `larger` times as large, on two workers.
fn crowd(count: usize, larger: Option<usize>) -> String {
    let mut text = "
name: a crowd
time_limit: 100 s
sessions:
"
    .to_owned();
    let mut add = |name: &str, side: usize, limit: usize| {
        text += &format!(
            "  - {{ name: {name}, system: {{ kind: poisson_2d, side: {side} }}, method: jacobi, \
             max_iterations: {limit}, update_every: 1000000 }}\n"
        );
    };
    if let Some(side) = larger {
        add("huge", side, 60);
    }
    for number in 0..count {
        add(&format!("small{number:04}"), 20, 400);
    }
    text
}

/// Simulated microseconds at which each session with this prefix ended, ascending.
fn ends(trace: &str, prefix: &str) -> Vec<f64> {
    let mark = format!("session_ended {prefix}");
    let at = |line: &str| line.split_whitespace().next().unwrap().parse::<f64>().unwrap();
    trace.lines().filter(|line| line.contains(&mark)).map(at).collect()
}

fn check_fairness(count: usize) {
    let outcome = run(&crowd(count, None), 5);
    assert_eq!(outcome.clients_done, count);
    let ended = ends(&outcome.trace, "small");
    assert_eq!(ended.len(), count);
    // All ask for the same work and come at the same time: a fair node ends them together.
    let (first, last) = (ended[0], ended[count - 1]);
    assert!(last < 1.25 * first, "the first ended at {first} µs, the last at {last} µs");
}

#[test]
fn sixteen_sessions_progress_fairly() {
    check_fairness(16);
}

#[test]
fn a_thousand_sessions_progress_fairly() {
    check_fairness(1_000);
}

#[test]
fn one_huge_system_does_not_starve_small_ones() {
    let alone = run(&crowd(8, None), 5);
    let beside = run(&crowd(8, Some(900)), 5);
    let last = |outcome: &WorldOutcome| *ends(&outcome.trace, "small").last().unwrap();
    assert_eq!(ends(&beside.trace, "huge").len(), 1);
    assert!(ends(&beside.trace, "huge")[0] > 4.0 * last(&beside), "the huge one is long at work");
    assert!(last(&beside) < 1.5 * last(&alone), "{} against {}", last(&beside), last(&alone));
}

#[test]
fn a_world_that_is_not_done_by_its_time_limit_says_so() {
    let hurried = CLIENT_LEAVES.replace("time_limit: 2 s", "time_limit: 3 ms");
    let outcome = run(&hurried, 1);
    assert_eq!((outcome.clients_done, outcome.clients), (1, 2));
    assert!(outcome.trace.contains("time limit reached"), "{}", outcome.trace);
}

#[test]
fn a_time_budget_ends_a_system_of_long_steps_with_its_state() {
    // One iteration touches 3.2 million entries, more than a short step may.
    let budget = "
name: long steps
time_limit: 100 s
sessions:
  - name: long
    system: { kind: poisson_2d, side: 800 }
    method: jacobi
    time_budget: 100 ms
";
    let outcome = run(budget, 1);
    assert!(outcome.trace.contains("time_budget after"), "{}", outcome.trace);
    assert!(outcome.trace.contains("solution: 640000 entries"), "{}", outcome.trace);
}

/// Where a line with this text stands in the trace.
fn position(trace: &str, text: &str) -> usize {
    trace.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {trace}"))
}

#[test]
fn a_session_whose_solve_is_out_is_kept_beyond_its_retention_until_it_is_back() {
    // The ordering of the large system takes a minute; its client leaves after a second.
    let text = "
name: a long set-up that nobody waits for
time_limit: 200 s
node: { picoseconds_per_nonzero: 25000000, retention: 5 s }
sessions:
  - name: hasty
    system: { kind: poisson_2d, side: 110 }
    method: direct
    client: { leaves_at: 1 s }
  - name: brief
    system: { kind: poisson_2d, side: 4 }
    method: cg
    client: { opens_at: 2 s }
  - name: late
    system: { kind: poisson_2d, side: 4 }
    method: cg
    client: { opens_at: 100 s }
";
    let trace = run(text, 1).trace;
    let line = |text| position(&trace, text);
    assert!(line("session_ended hasty listener_gone") < line("session_opened brief"));
    assert!(line("session_removed brief Expired") < line("quantum_done hasty"), "{trace}");
    assert!(line("quantum_done hasty") < line("session_removed hasty Expired"), "{trace}");
}

/// Two factorisations of one size on a node that holds one of them; the first client leaves when its
/// own is under way.
fn two_factorisations(leaves: &str) -> String {
    format!(
        "
name: two factorisations
time_limit: 1000 s
node: {{ heavy_workers: 2, memory_limit: 9500000, picoseconds_per_nonzero: 1000000 }}
sessions:
  - name: first
    system: {{ kind: poisson_2d, side: 120 }}
    method: direct
    client: {{ {leaves} }}
  - name: second
    system: {{ kind: poisson_2d, side: 120 }}
    method: direct
    client: {{ opens_at: 1 s }}
"
    )
}

#[test]
fn growth_waits_for_memory_that_is_about_to_come_back_and_for_nothing_else() {
    let stays = run(&two_factorisations("opens_at: 0 s"), 1).trace;
    assert!(stays.contains("session_ended second memory_budget"), "{stays}");
    let leaves = run(&two_factorisations("leaves_at: 3500 ms"), 1).trace;
    let line = |text| position(&leaves, text);
    // The second asks for its memory while the first still holds its own, and gets it.
    assert!(line("session_ended first listener_gone") < line("prepared second ordering"));
    let returned = leaves.lines().rev().position(|line| line.contains("quantum_done first"));
    let returned = leaves.lines().count() - returned.unwrap();
    assert!(line("prepared second ordering") < returned, "{leaves}");
    assert!(leaves.contains("session_ended second converged"), "{leaves}");
}

/// When a line of the trace was written, in simulated microseconds.
fn time_of(line: &str) -> f64 {
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A live session whose witness, plan and factor are made while its client changes costs.
const STORM: &str = "
name: costs change while a session sets up
time_limit: 10 s
node: { workers: 1 }
sessions:
  - name: grid
    system: { kind: poisson_2d, side: 70 }
    costs: { starts_at: 3 ms, every: 50us, updates: 120, costs: 2 }
";

#[test]
fn changes_that_come_during_a_set_up_are_announced_before_it_is_back() {
    let trace = run(STORM, 1).trace;
    assert_eq!(trace, run(STORM, 1).trace);
    let lines: Vec<&str> = trace.lines().collect();
    let (mut latencies, mut set_ups) = (vec![], vec![]);
    for (begun, _) in lines.iter().enumerate().filter(|(_, line)| line.contains("set_up_started")) {
        let length = lines[begun..].iter().position(|line| line.contains("set_up_done")).unwrap();
        let out = &lines[begun..=begun + length];
        set_ups.push(time_of(out[length]) - time_of(out[0]));
        for (at, line) in out.iter().enumerate() {
            if line.contains("node-0     costs_accepted") {
                let version = line.split_whitespace().last().unwrap();
                let is_told = |line: &&&str| line.contains(&format!("up to version {version}:"));
                let is_settled = |line: &&&str| line.ends_with("converged true");
                let told = lines[begun + at..].iter().position(|line| is_told(&line)).unwrap();
                let after = &lines[begun + at + told..];
                let settled = after.iter().find(is_settled).expect("every change is worked in");
                latencies.push(time_of(settled) - time_of(line));
            }
        }
    }
    latencies.sort_by(f64::total_cmp);
    let longest = set_ups.iter().copied().fold(0.0, f64::max);
    let p99 = latencies[latencies.len() * 99 / 100];
    assert!(set_ups.len() >= 2 && latencies.len() >= 10, "{set_ups:?}, {latencies:?}");
    assert!(p99 < 0.3 * longest && p99 < 2_000.0, "{p99} µs beside set-ups of {set_ups:?} µs");
    assert!(trace.contains("in the background, "), "{trace}");
}

#[test]
fn a_session_that_ends_while_its_set_up_is_out_gives_its_memory_back_when_that_is_home() {
    // The search takes from the 14th to the 29th second; the client leaves when it has just begun.
    let text = "
name: a set-up that outlives its session
time_limit: 200 s
node: { picoseconds_per_nonzero: 8000000, retention: 1 s }
sessions:
  - name: hasty
    system: { kind: poisson_2d, side: 70 }
    costs: { starts_at: 100 s, every: 1 ms, updates: 1, costs: 1 }
    client: { leaves_at: 15 s }
  - name: late
    system: { kind: poisson_2d, side: 4 }
    method: cg
    client: { opens_at: 60 s }
";
    let trace = run(text, 1).trace;
    let line = |text| position(&trace, text);
    assert!(line("set_up_started hasty") < line("session_ended hasty listener_gone"), "{trace}");
    assert!(line("session_ended hasty listener_gone") < line("set_up_done hasty"), "{trace}");
    // A sweep passes it over meanwhile, although its retention is over.
    let done = time_of(trace.lines().nth(line("set_up_done hasty")).unwrap());
    assert!((20.5e6..30e6).contains(&done), "{done}");
    assert!(line("set_up_done hasty") < line("session_removed hasty Expired"), "{trace}");
    assert_eq!(trace.matches("set_up_started hasty").count(), 1);
}

/// `weir simulate` on the shipped scenario with one more flag: exit code, standard output, error.
fn weir_simulate(scenario: &std::path::Path, seed: &str) -> (Option<i32>, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("simulate")
        .arg(scenario)
        .args(["--seed", seed])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_replays_a_scenario_to_the_byte() {
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let (code, trace, summary) = weir_simulate(&shipped.join("client_leaves.yaml"), "1");
    assert_eq!(code, Some(0), "{summary}");
    assert!(summary.contains("2 of 2 clients came to their end"), "{summary}");
    assert_eq!(trace, run(CLIENT_LEAVES, 1).trace);
}

#[test]
fn the_command_says_where_a_scenario_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, CLIENT_LEAVES.replace("side: 12", "sides: 12")).unwrap();
    let (code, trace, error) = weir_simulate(&wrong, "1");
    assert_eq!((code, trace.as_str()), (Some(2), ""));
    assert!(error.contains("wrong.yaml") && error.contains("sides"), "{error}");
    let (code, _, error) = weir_simulate(&folder.path().join("absent.yaml"), "1");
    assert_eq!(code, Some(2));
    assert!(error.contains("absent.yaml"), "{error}");
}

/// The version that a line of the client's trace says is solved: the one named, else that of the last
/// acceptance.
fn solved_version(line: &str) -> Option<u64> {
    line.split("solves version ").nth(1).map(|version| version.trim().parse().unwrap())
}

#[test]
fn a_session_that_is_alone_keeps_its_worker() {
    let outcome = run(&CONSTANT_STORM.replace("workers: 1", "workers: 2"), 1);
    let quanta = outcome.trace.lines().filter(|line| line.contains("quantum_started grid"));
    let workers: Vec<bool> = quanta.map(|line| line.contains("worker-1 ")).collect();
    assert!(workers.len() > 100 && workers.iter().all(|worker| *worker == workers[0]));
}

#[test]
fn a_storm_in_which_nothing_is_ever_settled_shows_states_solved_for_versions_before() {
    let outcome = run(CONSTANT_STORM, 1);
    assert_eq!(outcome.clients_done, 1);
    let trace = &outcome.trace;
    let (from, to) = (position(trace, "update 1 counts"), position(trace, "update 400 counts"));
    let storm: Vec<&str> = trace.lines().take(to).skip(from).collect();
    let frames = |kind: &'static str| {
        let mark = format!("{kind}: ");
        storm.iter().filter(move |line| line.contains(&mark)).collect::<Vec<_>>()
    };
    let (states, signals) = (frames("iteration_update"), frames("convergence_signal"));
    // Before the first landing the state is the solution that the storm found.
    let of_states: Vec<u64> = states.iter().filter_map(|line| solved_version(line)).collect();
    let of_signals: Vec<u64> = signals.iter().filter_map(|line| solved_version(line)).collect();
    assert_eq!(of_states.len(), states.len(), "every state solves a version: {trace}");
    assert_eq!(of_signals.len(), signals.len(), "no present version is signalled: {trace}");
    assert!(of_states.is_sorted() && of_signals.is_sorted_by(|a, b| a < b), "{trace}");
    assert!(of_signals.len() >= 20, "{} signals: {trace}", of_signals.len());
    let updates = |line: &&str| line.contains("update") && line.contains("counts from version");
    let sent = storm.iter().filter(|line| updates(line)).count() as u64;
    assert!(of_signals[of_signals.len() - 1] + 50 > sent, "{trace}");
}
