import Foundation
import Logging
import Synchronization
import TestSupport
import Testing
import Transport

/// Notes the checkpoints in the order they come.
final class NotedCheckpoints: SMTPCheckpoint {
    private let state = Mutex<[String]>([])
    var notes: [String] { state.withLock { $0 } }
    func willHandOver(messageID: String) { state.withLock { $0.append("will \(messageID)") } }
    func didAccept(messageID: String, reply: Int) { state.withLock { $0.append("did \(messageID) \(reply)") } }
}

func testMail(_ id: String = "1", to address: String = "pat@example.test", text: String = "Hello") throws -> Mail {
    try Mail(
        from: Mailbox(name: "Neff Paving", address: "office@neff.test"), to: Mailbox(address: address),
        subject: "Visit",
        messageID: "\(id)@neff.test", date: Date(timeIntervalSince1970: 1_793_883_600), text: text)
}

let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

func makeClient(_ url: String, maxConnections: Int = 1) throws -> SMTPClient {
    SMTPClient(configuration: try SMTPConfiguration(url: url), maxConnections: maxConnections, logger: quiet)
}

/// The error of a call that must fail.
func failure(_ body: () async throws(SMTPError) -> SMTPReceipt) async -> SMTPError? {
    do throws(SMTPError) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}
