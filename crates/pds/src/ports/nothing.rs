//! A store that holds nothing.

use super::{
    ByteStream, Engine, EngineError, Job, Mode, RepoId, Row, Sql, SqlError, StreamJob, Turn, Value, Written,
};
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, StreamExt, stream};

/// The engine of a server without accounts: no query finds a row, and nothing is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Sql for Nothing {
    fn exec(&self, _: &'static str, _: &[Value<'_>]) -> Result<u64, SqlError> {
        Err(SqlError::Other("there is no store here to write to: accounts are kept elsewhere".to_owned()))
    }

    fn query(
        &self,
        _: &'static str,
        _: &[Value<'_>],
        _: &mut dyn FnMut(&dyn Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        Ok(())
    }
}

impl Engine for Nothing {
    fn submit(&self, _: Mode, job: Job) -> BoxFuture<'_, Result<(), EngineError>> {
        ready(job(self).map_err(EngineError::from)).boxed()
    }

    /// What is streamed is of an account, and nobody finds one here.
    fn stream(&self, _: Box<dyn StreamJob>) -> ByteStream {
        stream::empty().boxed()
    }

    fn turn(&self, _: RepoId) -> BoxFuture<'_, Turn> {
        ready(Turn::free()).boxed()
    }

    fn written(&self) -> Written {
        Written::default()
    }
}
