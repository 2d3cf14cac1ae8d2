//! The layers hold: each names only what stands to its left, pure layers stay pure, and actors import
//! messages, never each other. A breach is reported with its file and line.

use std::fs;
use std::path::{Path, PathBuf};

/// `ids → solver → policy → protocol → runtime → actors → http | simulation → cli`.
const LAYERS: [(&str, &[&str]); 9] = [
    ("ids", &[]),
    ("solver", &["ids"]),
    ("policy", &["ids", "solver"]),
    ("protocol", &["ids", "solver", "policy"]),
    ("runtime", &["ids", "solver", "policy", "protocol"]),
    ("actors", &["ids", "solver", "policy", "protocol", "runtime"]),
    ("http", &["ids", "solver", "policy", "protocol", "runtime", "actors"]),
    ("simulation", &["ids", "solver", "policy", "protocol", "runtime", "actors"]),
    ("cli", &["ids", "solver", "policy", "protocol", "runtime", "actors", "http", "simulation"]),
];

/// What a layer may not reach for outside the crate.
const OUTSIDE: [(&str, &[&str]); 3] = [
    (
        "solver",
        &[
            "actix",
            "tokio",
            "std::fs",
            "std::net",
            "std::env",
            "std::time",
            "std::thread",
            "serde_json",
        ],
    ),
    (
        "policy",
        &[
            "actix",
            "tokio",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "serde_json",
            "rayon",
        ],
    ),
    ("protocol", &["actix", "tokio", "std::fs", "std::net", "std::env", "std::thread"]),
];

/// Files of `actors/` that are values and channels, not actors: anyone there may import them.
const ACTOR_VALUES: [&str; 6] =
    ["messages", "frame_channel", "outbound_queue", "owed_entries", "announcer", "solve"];

#[test]
fn each_layer_names_only_layers_to_its_left() {
    let mut breaches = Vec::new();
    for source in sources() {
        let allowed = LAYERS.iter().find(|(layer, _)| *layer == source.layer).map(|(_, may)| *may);
        let allowed = allowed.unwrap_or_else(|| panic!("`{}` is in no layer", source.layer));
        for (number, line) in source.lines() {
            for named in names_after(line, "crate::") {
                let is_layer = LAYERS.iter().any(|(layer, _)| *layer == named);
                if is_layer && named != source.layer && !allowed.contains(&named) {
                    breaches.push(source.breach(number, &format!("names `{named}`")));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn pure_layers_reach_for_no_clock_and_no_io() {
    let mut breaches = Vec::new();
    for source in sources() {
        let Some((_, banned)) = OUTSIDE.iter().find(|(layer, _)| *layer == source.layer) else {
            continue;
        };
        for (number, line) in source.lines() {
            // A length of time is a value; reading a clock is not.
            let line = line.replace("std::time::Duration", "");
            for name in *banned {
                if line.contains(&format!("{name}::")) || line.contains(&format!("use {name}")) {
                    breaches.push(source.breach(number, &format!("reaches for `{name}`")));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn actors_import_messages_and_never_each_other() {
    let mut breaches = Vec::new();
    for source in sources().into_iter().filter(|source| source.layer == "actors") {
        let own = source.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if own == "node" {
            continue;
        }
        // What lies in a folder named for an actor is part of it.
        let folder = source.path.parent().and_then(|folder| folder.file_name());
        for (number, line) in source.lines() {
            for named in names_after(line, "crate::actors::") {
                let is_own = named == own || folder.is_some_and(|folder| folder == named);
                if !is_own && !ACTOR_VALUES.contains(&named) {
                    breaches.push(source.breach(number, &format!("imports the actor `{named}`")));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn the_scanner_sees_breaches() {
    assert_eq!(names_after("use crate::http::server;", "crate::"), ["http"]);
    assert_eq!(names_after("let x = crate::cli::run(crate::ids::A);", "crate::"), ["cli", "ids"]);
    assert!(names_after("pub(crate) fn f()", "crate::").is_empty());
    assert!(sources().len() > 30, "the scanner found {} files", sources().len());
}

struct Source {
    path: PathBuf,
    layer: String,
    text: String,
}

impl Source {
    /// Numbered lines without comments.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line: &str| !line.trim_start().starts_with("//");
        (1..).zip(self.text.lines()).filter(move |(_, line)| code(line))
    }

    fn breach(&self, line: usize, what: &str) -> String {
        format!("{}:{line} {what}", self.path.display())
    }
}

/// Every file below `src` that belongs to a layer.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .filter_map(|path| {
            let inside = path.strip_prefix(&root).ok()?;
            let first = inside.components().next()?.as_os_str().to_str()?;
            let layer = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).ok()?;
            (layer != "lib" && layer != "main").then_some(Source { path, layer, text })
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The identifiers that follow each `prefix` in a line; a brace list after it gives all its heads.
fn names_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let identifier = |text: &'a str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        &text[..end]
    };
    let mut names = Vec::new();
    for (at, _) in line.match_indices(prefix) {
        let rest = &line[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split(',').map(|item| identifier(item.trim()))),
            None => names.push(identifier(rest)),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
