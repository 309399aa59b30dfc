//! A [`Message`] as the bytes of a mail. This file must not open a connection.
