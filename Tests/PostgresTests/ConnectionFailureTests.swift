import Testing

@testable import Postgres

@Suite struct ConnectionFailureTests {
    private static let server = "connection to server at \"db.example\" (192.0.2.1), port 5432 failed: "

    @Test(arguments: [
        server + "SSL SYSCALL error: Connection reset by peer",
        server + "SSL SYSCALL error: EOF detected",
        server + "SSL error: unexpected eof while reading",
        server + "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally",
        "SSL connection has been closed unexpectedly",
    ])
    func aNetworkThatBreaksUnderTLSHeals(message: String) {
        for code in [PostgresError.Code.connectionFailed, .connectionLost] {
            let error = ConnectionFailure.error(message: message, code: code)
            #expect(error.code == code)
            #expect(error.isRetriable)
        }
    }

    @Test(arguments: [
        server + "SSL error: certificate verify failed",
        server + "server certificate for \"other\" does not match host name \"db.example\"",
        server + "server does not support SSL, but SSL was required",
        server + "SSL SYSCALL error: EOF detected\n" + server + "SSL error: certificate verify failed",
    ])
    func tlsThatCannotBeAgreedOnDoesNot(message: String) {
        let error = ConnectionFailure.error(message: message, code: .connectionFailed)
        #expect(error.code == .tlsFailed)
        #expect(!error.isRetriable)
    }

    @Test func aConnectionThatWasUpHasNoTLSFailure() {
        #expect(ConnectionFailure.error(message: "SSL error: bad record mac", code: .connectionLost).isRetriable)
    }
}
