//! An endless XML document, framed into elements as they complete.
