//! Changes of costs on their way into the system.

use actix::{Handler, ResponseFuture};

use crate::actors::messages::{ApplyCosts, CostVerdict, CostsUnavailable};
use crate::actors::session::Session;

impl Handler<ApplyCosts> for Session {
    type Result = ResponseFuture<Result<Vec<CostVerdict>, CostsUnavailable>>;

    fn handle(&mut self, _: ApplyCosts, _: &mut Self::Context) -> Self::Result {
        Box::pin(std::future::ready(Err(CostsUnavailable::NotLive)))
    }
}
