//! Runs the peers' programs on the files of a system. What is not installed is left out and said.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Seconds after which a peer is given up.
const LIMIT: u64 = 150;

/// Library, method and preconditioner, as `keep_solved.py` takes them; `eigen` stands alone.
pub type Peer = (&'static str, &'static str, &'static str);

/// What a peer took: cold, and for each file of changes.
#[derive(Clone)]
pub struct Kept {
    pub cold: Duration,
    pub means: Vec<Duration>,
}

#[derive(Default)]
pub struct Peers {
    /// Names and programs.
    ready: OnceCell<Vec<(String, PathBuf)>>,
}

pub fn name((library, method, preconditioner): Peer) -> String {
    [library, method, preconditioner].join(" ").trim().to_owned()
}

fn benches() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

impl Peers {
    fn program(&self, name: &str) -> Option<&Path> {
        let ready = self.ready.get_or_init(|| {
            let said = Command::new(benches().join("install.sh")).stderr(Stdio::inherit()).output();
            let said = said.map(|output| output.stdout).unwrap_or_default();
            let lines = String::from_utf8_lossy(&said).into_owned();
            let pair = |line: &str| {
                line.split_once('\t').map(|(name, path)| (name.to_owned(), PathBuf::from(path)))
            };
            lines.lines().filter_map(pair).collect()
        });
        ready.iter().find(|(found, _)| found == name).map(|(_, path)| path.as_path())
    }

    /// Keeps the system of a file solved, one thread.
    pub fn keep(
        &self,
        peer: Peer,
        system: &Path,
        seconds: f64,
        changes: &[PathBuf],
    ) -> Result<Kept, String> {
        let (library, method, preconditioner) = peer;
        let program = match library {
            "petsc" | "eigen" => library,
            _ => "python",
        };
        let program = self.program(program).ok_or("not installed")?;
        let mut command = limited(program);
        if library != "eigen" {
            command.arg(benches().join("keep_solved.py"));
            command.args([library, method, preconditioner]);
        }
        command.arg(system).arg(seconds.to_string()).args(changes);
        let said = run(command)?;
        let list = |value: &Value| -> Vec<f64> {
            value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        let kept = said["kept"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut cold = list(&said["cold"]);
        cold.sort_by(f64::total_cmp);
        let cold = cold.get(cold.len().saturating_sub(1) / 2).ok_or("no cold solve")?;
        Ok(Kept {
            cold: Duration::from_secs_f64(*cold),
            means: kept.iter().map(|kept| mean(&list(&kept["seconds"]))).collect(),
        })
    }

    /// The operations of `factors.c`, by their names.
    pub fn factors(&self, system: &Path, operation: &str) -> Result<Duration, String> {
        let mut command = limited(self.program("factors").ok_or("not installed")?);
        command.arg(system).arg("20000");
        let said = run(command)?;
        let seconds = said[operation].as_f64().ok_or("no such operation")?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

fn mean(seconds: &[f64]) -> Duration {
    Duration::from_secs_f64(seconds.iter().sum::<f64>() / seconds.len().max(1) as f64)
}

/// One thread, and an end in any case.
fn limited(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT.to_string()).arg(program);
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
        command.env(variable, "1");
    }
    command
}

fn run(mut command: Command) -> Result<Value, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(124) {
        return Err(format!("more than {LIMIT} s"));
    }
    let answer = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    answer.ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = errors.lines().last().unwrap_or("no answer");
        last.chars().take(70).collect()
    })
}
