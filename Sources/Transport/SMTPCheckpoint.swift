/// Marks the two instants of a message's hand-over that cannot be undone.
///
/// Both are called on the connection's owner thread, inside the transfer: be quick, do not wait for other threads' work
/// on the same client.
package protocol SMTPCheckpoint: Sendable {
    /// The last body bytes are about to be given to the library and the final dot goes out next: the point of no return.
    ///
    /// All earlier bytes have left for the kernel. From here on a lost connection is `ambiguous`; before it, the server
    /// has no complete message and must not deliver anything (RFC 5321 section 4.1.1.4).
    func willHandOver(messageID: String)

    /// The server answered the dot with `reply`, a 2yz code: the message is its responsibility now.
    func didAccept(messageID: String, reply: Int)
}
