//! Names that are kept back. Shorter ones cannot be claimed at all.
//!
//! Kinds: hosts and DNS; mail; staff and authority; company and law; services and paths of the web; the network and its
//! parts; this software; brands that an agent might be passed off as.

/// Reserved names in lowercase, sorted for binary search.
#[rustfmt::skip]
pub(super) static RESERVED: &[&str] = &[
    "about", "abuse", "account", "accounts", "acme", "acme-challenge", "activitypub", "admin",
    "administration", "administrator", "administrators", "admins", "agent", "agents", "amazon", "anonymous",
    "anthropic", "api", "api1", "api2", "app", "apple", "apps", "appview", "assets", "at-protocol", "atp",
    "atproto", "auth", "autoconfig", "autodiscover", "aws", "backup", "beta", "bgs", "billing", "blacksky",
    "blog", "bluesky", "bluesky-social", "blueskyweb", "bounce", "bounces", "broadcasthost", "bsky",
    "bsky-app", "bskyapp", "cache", "callback", "cdn", "chatgpt", "checkout", "claude", "cloudflare",
    "community", "config", "console", "contact", "copilot", "copyright", "cpanel", "daemon", "dashboard",
    "database", "deepmind", "deepseek", "demo", "dev", "did", "did-plc", "didplc", "didweb", "discord",
    "dmca", "dns", "dns1", "dns2", "docs", "documentation", "domain", "domains", "donate", "donotreply",
    "download", "dpop", "edge", "email", "enroll", "enrollment", "entryway", "eurosky", "everyone", "explore",
    "facebook", "false", "faq", "favicon", "fediverse", "feed", "feedgen", "feeds", "files", "firehose",
    "forum", "ftp", "gateway", "gdpr", "gemini", "git", "github", "google", "graphql", "grok", "guest",
    "handle", "handles", "health", "help", "helpdesk", "home", "host", "hosting", "hostmaster", "huggingface",
    "imap", "imaps", "imprint", "index", "info", "instagram", "internal", "intranet", "investors", "invite",
    "invoice", "isatap", "jetstream", "jobs", "join", "jwks", "labeler", "ldap", "legal", "lexicon",
    "lexicons", "linkedin", "listserv", "localdomain", "localhost", "login", "logout", "mail", "mail1",
    "mail2", "mailer", "mailer-daemon", "marketing", "mastercard", "mastodon", "mcp", "media", "meta",
    "metrics", "microsoft", "mistral", "mod", "moderation", "moderator", "moderators", "mods", "mozilla",
    "mx1", "mx2", "nameserver", "nan", "newsletter", "no-reply", "nobody", "node", "nodes", "none", "noreply",
    "northsky", "ns1", "ns2", "ns3", "ns4", "nsid", "ntp", "null", "nvidia", "oauth", "oauth2", "official",
    "oidc", "openai", "openid", "operator", "operators", "origin", "owner", "ozone", "password", "pay",
    "payment", "payments", "paypal", "pds", "plc", "policy", "pop", "pop3", "portal", "postmaster", "press",
    "preview", "pricing", "privacy", "private", "prod", "production", "proxy", "public", "recovery", "reddit",
    "redirect", "register", "relay", "report", "reports", "reset", "robots", "rookery", "rookery-pds", "root",
    "router", "rpc", "rss", "safety", "sales", "saml", "sandbox", "search", "secure", "security", "sequencer",
    "server", "servers", "service", "services", "session", "settings", "sftp", "signin", "signout", "signup",
    "sitemap", "smtp", "smtps", "spam", "sponsor", "ssh", "sso", "staff", "stage", "staging", "static",
    "status", "storage", "store", "sudo", "superuser", "support", "sysadmin", "sysop", "system", "tangled",
    "team", "telegram", "terms", "test", "testing", "tiktok", "token", "tokens", "tos", "true", "trust",
    "trust-and-safety", "twitter", "undefined", "uploads", "uptime", "user", "users", "verification",
    "verified", "verify", "visa", "vpn", "web", "webfinger", "webhook", "webhooks", "webmail", "webmaster",
    "websocket", "welcome", "well-known", "whatsapp", "wiki", "wikipedia", "wpad", "www", "www1", "www2",
    "xai", "xrpc", "youtube",
];
