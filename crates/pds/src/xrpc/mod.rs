//! Endpoints of the XRPC API: the path of a file is the NSID of its method.

pub(crate) mod com_atproto;
