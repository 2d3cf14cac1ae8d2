//! Knows which sessions this node has: admits new ones, finds them, forgets those that ended long
//! ago, and ends them all when the node shuts down.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, MessageResult, ResponseFuture};
use futures_util::future::join_all;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::actors::messages::{
    DeleteSession, Drain, FindSession, ForgetResiduals, GetNodeStatus, ListSessions, OpenRefused,
    OpenSession, SessionEnded, SessionGrew, SessionHandle, SessionSeed, StopSession,
};
use crate::ids::SessionId;
use crate::policy::admission::{self, Admission, Capacity, Growth, Load};
use crate::protocol::frame::EndReason;
use crate::protocol::status::NodeStatus;
use crate::runtime::clock::Moment;
use crate::runtime::config::NodeConfig;
use crate::runtime::environment::Environment;
use crate::runtime::event::{Event, SessionRemoved};

/// Starts the actor of a new session and tells how to reach it.
pub type StartSession = Box<dyn Fn(SessionSeed) -> SessionHandle + Send>;

/// The actor that finds sessions.
pub struct SessionDirectory {
    environment: Environment,
    capacity: Capacity,
    retention: Duration,
    drain_limit: Duration,
    start_session: StartSession,
    session_ids: ChaCha8Rng,
    sessions: BTreeMap<SessionId, Entry>,
    /// Grew beyond the limit while memory was about to come back; who grew last is last.
    waiting: Vec<SessionId>,
    /// Counts openings, so that sessions can be listed and evicted in order.
    openings: u64,
    refusals: u64,
    running: usize,
    memory_bytes: u64,
    is_draining: bool,
    started: Moment,
}

struct Entry {
    handle: SessionHandle,
    opening: u64,
    memory_bytes: u64,
    ended: Option<Moment>,
    /// Nothing of it is out at a worker any more.
    is_released: bool,
    /// Told to end, because it grew too large.
    is_stopping: bool,
    /// No longer to be found; kept until its memory is free.
    is_deleted: bool,
}

impl Entry {
    /// It has ended or was told to, and gives its memory back as soon as nothing of it is out.
    fn is_returning(&self) -> bool {
        (self.ended.is_some() || self.is_deleted || self.is_stopping) && !self.is_released
    }

    fn is_evictable(&self) -> bool {
        self.ended.is_some() && self.is_released && !self.is_deleted
    }
}

/// Vectors of length n that a session may keep beside system, `x` and `r`: what its listeners know, what
/// is announced, the best state, a change of `x` under way.
const SESSION_VECTORS: u64 = 4;

/// How often ended sessions are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

impl SessionDirectory {
    pub fn new(environment: Environment, config: &NodeConfig, start_session: StartSession) -> Self {
        Self {
            capacity: Capacity {
                running_sessions_max: config.running_sessions_max,
                ended_sessions_max: config.ended_sessions_max,
                memory_bytes_max: config.memory_bytes_max,
            },
            retention: config.ended_session_retention,
            drain_limit: config.drain_limit,
            start_session,
            session_ids: environment.entropy.stream("session_id"),
            sessions: BTreeMap::new(),
            waiting: Vec::new(),
            openings: 0,
            refusals: 0,
            running: 0,
            memory_bytes: 0,
            is_draining: false,
            started: environment.clock.now(),
            environment,
        }
    }

    fn admit(&mut self, needed_bytes: u64) -> Result<(), OpenRefused> {
        if self.is_draining {
            return Err(OpenRefused::Draining);
        }
        loop {
            match admission::admit(self.load(), self.capacity, needed_bytes) {
                Admission::Admit => return Ok(()),
                Admission::EvictOldestEnded => self.evict_oldest_ended(),
                Admission::Refuse(overload) => return Err(overload.into()),
            }
        }
    }

    fn load(&self) -> Load {
        let mut load = Load {
            running_sessions: self.running,
            ended_sessions: 0,
            memory_bytes: self.memory_bytes,
            evictable_bytes: 0,
            returning_bytes: 0,
        };
        for entry in self.sessions.values() {
            if entry.is_evictable() {
                load.ended_sessions += 1;
                load.evictable_bytes += entry.memory_bytes;
            } else if entry.is_returning() {
                load.returning_bytes += entry.memory_bytes;
            }
        }
        load
    }

    /// What does not give way when memory is short.
    fn lasting_bytes(&self) -> u64 {
        self.memory_bytes - self.load().evictable_bytes
    }

    /// Makes room for those that grew, lets them wait for what is about to come back, or ends who grew
    /// last; the others are judged again when its memory is free.
    fn settle_growth(&mut self) {
        while let Some(&session) = self.waiting.last() {
            match admission::after_growth(self.load(), self.capacity) {
                Growth::Fits => self.waiting.clear(),
                Growth::AwaitReturn => return,
                Growth::EvictOldestEnded => self.evict_oldest_ended(),
                Growth::EndSession => {
                    self.waiting.pop();
                    if let Some(entry) = self.sessions.get_mut(&session) {
                        entry.is_stopping = true;
                        entry.handle.stop.do_send(StopSession(EndReason::MemoryBudget));
                    }
                }
            }
        }
    }

    fn evict_oldest_ended(&mut self) {
        let oldest = self
            .sessions
            .iter()
            .filter(|(_, entry)| entry.is_evictable())
            .map(|(&session, entry)| (entry.ended, entry.opening, session))
            .min();
        if let Some((.., session)) = oldest {
            self.remove(session, SessionRemoved::Evicted);
        }
    }

    fn remove(&mut self, session: SessionId, cause: SessionRemoved) {
        if self.forget(session) {
            self.environment.recorder.record(Event::SessionRemoved { session, cause });
        }
    }

    /// Drops our handle; the actor stops when its last handle is gone.
    fn forget(&mut self, session: SessionId) -> bool {
        let Some(entry) = self.sessions.remove(&session) else { return false };
        entry.handle.forget_residuals.do_send(ForgetResiduals(session));
        self.memory_bytes -= entry.memory_bytes;
        self.running -= usize::from(entry.ended.is_none());
        true
    }

    fn account(&mut self, session: SessionId, memory_bytes: u64) -> Option<&mut Entry> {
        let entry = self.sessions.get_mut(&session)?;
        self.memory_bytes = self.memory_bytes - entry.memory_bytes + memory_bytes;
        entry.memory_bytes = memory_bytes;
        Some(entry)
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let now = self.environment.clock.now();
        let is_stale = |entry: &Entry| {
            entry.is_evictable()
                && entry.ended.is_some_and(|ended| now.since(ended) >= self.retention)
        };
        let stale: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, entry)| is_stale(entry))
            .map(|(&session, _)| session)
            .collect();
        for session in stale {
            self.remove(session, SessionRemoved::Expired);
        }
        ctx.run_later(self.environment.clock.delay(SWEEP_INTERVAL), Self::sweep);
    }
}

impl Actor for SessionDirectory {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(self.environment.clock.delay(SWEEP_INTERVAL), Self::sweep);
    }
}

impl Handler<OpenSession> for SessionDirectory {
    type Result = Result<SessionId, OpenRefused>;

    fn handle(&mut self, open: OpenSession, _: &mut Self::Context) -> Self::Result {
        let OpenSession { mut engine, stream, warnings, listener } = open;
        let memory_bytes = engine.memory_bytes();
        if let Err(refused) = self.admit(memory_bytes) {
            self.refusals += 1;
            let reason = match refused {
                OpenRefused::Overloaded(_) => "overloaded",
                OpenRefused::Draining => "draining",
            };
            self.environment.recorder.record(Event::SessionRefused { reason });
            return Err(refused);
        }
        let kept_bytes = SESSION_VECTORS * 8 * engine.system().order() as u64;
        let taken_bytes = self.lasting_bytes().saturating_add(memory_bytes + kept_bytes);
        engine.limit_memory(self.capacity.memory_bytes_max.saturating_sub(taken_bytes));
        let session = SessionId::from_random_bits(self.session_ids.random());
        let seed = SessionSeed { session, engine, stream, warnings, listener };
        let handle = (self.start_session)(seed);
        self.openings += 1;
        let entry = Entry {
            handle,
            opening: self.openings,
            memory_bytes,
            ended: None,
            is_released: false,
            is_stopping: false,
            is_deleted: false,
        };
        self.sessions.insert(session, entry);
        self.running += 1;
        self.memory_bytes += memory_bytes;
        Ok(session)
    }
}

impl Handler<FindSession> for SessionDirectory {
    type Result = Option<SessionHandle>;

    fn handle(&mut self, find: FindSession, _: &mut Self::Context) -> Self::Result {
        let entry = self.sessions.get(&find.0).filter(|entry| !entry.is_deleted)?;
        Some(entry.handle.clone())
    }
}

impl Handler<ListSessions> for SessionDirectory {
    type Result = MessageResult<ListSessions>;

    fn handle(&mut self, _: ListSessions, _: &mut Self::Context) -> Self::Result {
        let mut entries: Vec<&Entry> =
            self.sessions.values().filter(|entry| !entry.is_deleted).collect();
        entries.sort_by_key(|entry| entry.opening);
        MessageResult(entries.into_iter().map(|entry| entry.handle.clone()).collect())
    }
}

impl Handler<DeleteSession> for SessionDirectory {
    type Result = bool;

    fn handle(&mut self, delete: DeleteSession, _: &mut Self::Context) -> Self::Result {
        let session = delete.0;
        let Some(entry) = self.sessions.get_mut(&session).filter(|entry| !entry.is_deleted) else {
            return false;
        };
        entry.is_deleted = true;
        entry.handle.stop.do_send(StopSession(EndReason::Deleted));
        let cause = SessionRemoved::Deleted;
        self.environment.recorder.record(Event::SessionRemoved { session, cause });
        self.forget_if_deleted(session);
        true
    }
}

impl SessionDirectory {
    /// A deleted session leaves the books when nothing of it is out any more.
    fn forget_if_deleted(&mut self, session: SessionId) {
        let is_gone = |entry: &Entry| entry.is_deleted && entry.is_released;
        if self.sessions.get(&session).is_some_and(is_gone) {
            self.forget(session);
        }
    }
}

impl Handler<SessionGrew> for SessionDirectory {
    type Result = ();

    fn handle(&mut self, grew: SessionGrew, _: &mut Self::Context) {
        let SessionGrew { session, memory_bytes } = grew;
        let before = self.memory_bytes;
        if let Some(entry) = self.account(session, memory_bytes) {
            // What an ended session still reports is the return of what was out.
            entry.is_released |= entry.ended.is_some();
        }
        if self.memory_bytes > before {
            self.waiting.retain(|&other| other != session);
            self.waiting.push(session);
        }
        self.forget_if_deleted(session);
        self.settle_growth();
    }
}

impl Handler<SessionEnded> for SessionDirectory {
    type Result = ();

    fn handle(&mut self, ended: SessionEnded, _: &mut Self::Context) {
        let SessionEnded { session, memory_bytes, is_released } = ended;
        let now = self.environment.clock.now();
        if let Some(entry) = self.account(session, memory_bytes)
            && entry.ended.is_none()
        {
            entry.ended = Some(now);
            entry.is_released = is_released;
            self.running -= 1;
        }
        self.forget_if_deleted(session);
        self.settle_growth();
    }
}

impl Handler<GetNodeStatus> for SessionDirectory {
    type Result = MessageResult<GetNodeStatus>;

    fn handle(&mut self, _: GetNodeStatus, _: &mut Self::Context) -> Self::Result {
        let uptime = self.environment.clock.now().since(self.started);
        MessageResult(NodeStatus {
            draining: self.is_draining,
            uptime_ms: uptime.as_millis() as u64,
            running_sessions: self.running,
            running_sessions_max: self.capacity.running_sessions_max,
            ended_sessions: self.sessions.len() - self.running,
            memory_usage_mb: self.memory_bytes as f64 / 1e6,
            memory_limit_mb: self.capacity.memory_bytes_max as f64 / 1e6,
            opened_sessions_total: self.openings,
            refused_sessions_total: self.refusals,
            totals: None,
        })
    }
}

impl Handler<Drain> for SessionDirectory {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.is_draining = true;
        self.environment.recorder.record(Event::DrainStarted { sessions: self.running });
        let stops: Vec<_> = self
            .sessions
            .values()
            .map(|entry| entry.handle.stop.send(StopSession(EndReason::Draining)))
            .collect();
        let limit = self.environment.clock.sleep(self.drain_limit);
        Box::pin(async move {
            // Whoever has not taken its end frame by the limit is cut off with the process.
            futures_util::future::select(Box::pin(join_all(stops)), Box::pin(limit)).await;
        })
    }
}
