//! Limits of the other host, asserted here: what Durable Objects and D1 refuse must fail on a laptop too.
//!
//! Only in debug builds, and so in every test.

use rookery_pds::ports::{Row, Sql, SqlError, Value};

const MAX_PARAMS: usize = 100;
const MAX_SQL: usize = 100_000;
/// The documentation says 2 MB; an event with 2,000,000 bytes of blocks is a little longer, and is still taken.
const MAX_VALUE: usize = 2_199_999;
const MAX_INT: u64 = 1 << 53;
const MAX_PATTERN: usize = 50;

/// Words that the core's SQL may not start with: transactions and connections are the host's.
const HOSTS_OWN: [&str; 9] =
    ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "ATTACH", "VACUUM"];

/// A session that refuses what the other host would refuse.
pub(super) struct Strict<'a>(pub(super) &'a dyn Sql);

impl Sql for Strict<'_> {
    fn exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, SqlError> {
        check(sql, params)?;
        self.0.exec(sql, params)
    }

    fn query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        check(sql, params)?;
        self.0.query(sql, params, &mut |row| each(&StrictRow(row)))
    }
}

struct StrictRow<'a>(&'a dyn Row);

impl Row for StrictRow<'_> {
    fn int(&self, i: usize) -> Result<i64, SqlError> {
        let int = self.0.int(i)?;
        check_int(int)?;
        Ok(int)
    }

    fn text(&self, i: usize) -> Result<&str, SqlError> {
        self.0.text(i)
    }

    fn blob(&self, i: usize) -> Result<&[u8], SqlError> {
        self.0.blob(i)
    }

    fn is_null(&self, i: usize) -> Result<bool, SqlError> {
        self.0.is_null(i)
    }
}

fn check(sql: &str, params: &[Value<'_>]) -> Result<(), SqlError> {
    if sql.len() > MAX_SQL {
        return refuse(format!("SQL text of {} bytes, the limit is {MAX_SQL}", sql.len()));
    }
    if params.len() > MAX_PARAMS {
        return refuse(format!("{} parameters, the limit is {MAX_PARAMS}: {sql}", params.len()));
    }
    for word in sql.split(';').filter_map(|statement| statement.split_whitespace().next()) {
        if HOSTS_OWN.iter().any(|own| own.eq_ignore_ascii_case(word)) {
            return refuse(format!("{word} is the host's business: {sql}"));
        }
    }
    // Which parameter is the pattern is not looked at: the core finds prefixes by range.
    let matches =
        sql.split_whitespace().any(|word| ["LIKE", "GLOB"].iter().any(|op| op.eq_ignore_ascii_case(word)));
    let mut row = 0;
    for param in params {
        match param {
            Value::Null => {}
            Value::Int(int) => check_int(*int)?,
            Value::Text(text) if matches && text.len() > MAX_PATTERN => {
                return refuse(format!(
                    "a pattern of {} bytes, the limit is {MAX_PATTERN}: {sql}",
                    text.len()
                ));
            }
            Value::Text(text) => row += text.len(),
            Value::Blob(bytes) => row += bytes.len(),
        }
    }
    if row > MAX_VALUE {
        return refuse(format!("a row of {row} bytes, the limit is {MAX_VALUE}: {sql}"));
    }
    Ok(())
}

fn check_int(int: i64) -> Result<(), SqlError> {
    if int.unsigned_abs() < MAX_INT {
        return Ok(());
    }
    refuse(format!("{int} does not pass through JavaScript"))
}

fn refuse(problem: String) -> Result<(), SqlError> {
    tracing::error!(problem, "the other host would refuse this");
    Err(SqlError::Other(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Anything;

    impl Sql for Anything {
        fn exec(&self, _: &'static str, _: &[Value<'_>]) -> Result<u64, SqlError> {
            Ok(0)
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

    #[test]
    fn what_the_other_host_refuses_is_refused() {
        let strict = Strict(&Anything);
        assert!(strict.exec("BEGIN", &[]).is_err());
        assert!(strict.exec("DELETE FROM t; commit", &[]).is_err());
        assert!(strict.exec("SELECT 1", &[Value::Null; 101]).is_err());
        let pattern = "a".repeat(51);
        assert!(strict.exec("SELECT a FROM t WHERE a like ?1", &[Value::Text(&pattern)]).is_err());
        assert!(strict.exec("SELECT 1", &[Value::Int(1 << 53)]).is_err());
        assert!(strict.exec("SELECT 1", &[Value::Int(-(1 << 53))]).is_err());
        assert!(strict.exec("SELECT 1", &[Value::Blob(&vec![0; MAX_VALUE + 1])]).is_err());
        assert!(strict.exec("SELECT 1", &[Value::Text(&"a".repeat(MAX_VALUE + 1))]).is_err());
    }

    #[test]
    fn what_is_within_the_limits_passes() {
        let strict = Strict(&Anything);
        let blob = vec![0; MAX_VALUE];
        let params = [Value::Int((1 << 53) - 1), Value::Blob(&blob)];
        strict.exec("SELECT CASE a WHEN ?1 THEN ?2 END FROM beginning", &params).unwrap();
        strict.query("SELECT 1", &[Value::Null; 100], &mut |_| Ok(())).unwrap();
        let pattern = "a".repeat(50);
        strict.exec("SELECT a FROM t WHERE a like ?1", &[Value::Text(&pattern)]).unwrap();
    }
}
