import CLibPQ

/// Passwords of roles.
extension PostgresConnection {
    /// Whether the server asked for a password when this session began; one that trusts the address does not.
    package var hasUsedPassword: Bool {
        guard let raw = handle?.raw else { return false }
        return PQconnectionUsedPassword(raw) == 1
    }

    /// What the server keeps of a password: a SCRAM-SHA-256 verifier, as `alter role ... password` takes it.
    ///
    /// It is computed here, so the password itself reaches neither the server nor the log of its statements. Each call
    /// takes another salt. Nothing is sent.
    /// - Throws: `invalidParameter` for a password that is empty or holds NUL; `closed`.
    package func passwordVerifier(_ password: String, of role: String) throws(PostgresError) -> String {
        guard !password.isEmpty, !password.utf8.contains(0), !role.utf8.contains(0) else {
            throw PostgresError(.invalidParameter, "a password must not be empty or contain NUL")
        }
        guard let raw = handle?.raw else { throw closeReason ?? PostgresError(.closed, "there is no connection") }
        // Named, because without an algorithm libpq would ask the server for one, and wait.
        guard let text = PQencryptPasswordConn(raw, password, role, "scram-sha-256") else {
            throw handle?.lastError(.server) ?? PostgresError(.server, "the password cannot be hashed")
        }
        defer { PQfreemem(text) }
        return String(cString: text)
    }
}
