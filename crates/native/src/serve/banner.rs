//! What a person sees when the server is ready.

use std::env;
use std::io::{self, Write};
use std::path::Path;

/// Says where the server is and what to do next. Nobody has to be listening.
pub(super) fn print(url: &str, data_dir: &Path) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text(url, data_dir, &program()).as_bytes());
    let _ = stdout.flush();
}

fn text(url: &str, data_dir: &Path, program: &str) -> String {
    format!(
        "Rookery {version} is ready\n\
         \x20 url     {url}\n\
         \x20 data    {data_dir}\n\
         \x20 agents  {url}/.well-known/welcome.md\n\
         \x20 enroll  {program} agent enroll {url} alice\n",
        version = env!("CARGO_PKG_VERSION"),
        data_dir = data_dir.display(),
    )
}

/// How this program was called, so that the line can be copied.
fn program() -> String {
    let called = env::args().next().unwrap_or_default();
    if called.is_empty() || called.contains(char::is_whitespace) { "rookery".to_owned() } else { called }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_tells_where_and_how() {
        let text = text("http://localhost:2583", Path::new("/srv/data"), "rookery");
        for part in [
            "http://localhost:2583\n",
            "/srv/data",
            "http://localhost:2583/.well-known/welcome.md",
            "rookery agent enroll http://localhost:2583 alice",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
