//! The actor that watches where residuals go. It keeps what sessions have announced and tells a session
//! when its residual drifts; what is done about that is decided by
//! [`policy::correcting`](crate::policy::correcting) and done by the session.

use std::collections::BTreeMap;

use actix::{Actor, Context, Handler, MessageResult};

use crate::actors::messages::{DriftFound, ForgetResiduals, GetResiduals, Observe};
use crate::ids::SessionId;
use crate::policy::correcting::{Drift, DriftKind};
use crate::policy::residuals::{DriftWatch, ResidualHistory};

/// See the module. At most 24 KB for each session that it knows.
#[derive(Default)]
pub struct DriftDetector {
    sessions: BTreeMap<SessionId, Watched>,
}

#[derive(Default)]
struct Watched {
    history: ResidualHistory,
    watch: DriftWatch,
}

impl Watched {
    /// The worst drift that there is, if any.
    fn observe(&mut self, seen: &Observe) -> Option<Drift> {
        if seen.is_new_run || !seen.judged_by_trend {
            self.watch = DriftWatch::default();
        }
        let mut trend = 0.0;
        for state in &seen.states {
            self.history.push(*state);
            if seen.judged_by_trend {
                trend = self.watch.observe(state.residual_norm);
            }
        }
        let gap = Drift { kind: DriftKind::Gap, severity: seen.gap };
        let trend = Drift { kind: DriftKind::Trend, severity: trend };
        [gap, trend].into_iter().find(Drift::is_news)
    }
}

impl Actor for DriftDetector {
    type Context = Context<Self>;
}

impl Handler<Observe> for DriftDetector {
    type Result = ();

    fn handle(&mut self, seen: Observe, _: &mut Self::Context) {
        let watched = self.sessions.entry(seen.session).or_default();
        if let Some(drift) = watched.observe(&seen) {
            watched.watch = DriftWatch::default();
            // A session that is gone by now no longer drifts.
            seen.reply_to.do_send(DriftFound(drift));
        }
    }
}

impl Handler<GetResiduals> for DriftDetector {
    type Result = MessageResult<GetResiduals>;

    fn handle(&mut self, asked: GetResiduals, _: &mut Self::Context) -> Self::Result {
        let watched = self.sessions.get(&asked.0);
        MessageResult(watched.map(|watched| watched.history.clone()).unwrap_or_default())
    }
}

impl Handler<ForgetResiduals> for DriftDetector {
    type Result = ();

    fn handle(&mut self, forgotten: ForgetResiduals, _: &mut Self::Context) {
        self.sessions.remove(&forgotten.0);
    }
}
