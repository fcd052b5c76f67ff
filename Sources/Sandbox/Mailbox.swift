import Foundation

/// The mail that the development mail server has accepted: one line of JSON for each message.
package struct Mailbox: Sendable {
    package struct Mail: Codable, Sendable {
        package let messageID: String?
        package let subject: String?
        package let recipients: [String]
        package let acceptedAt: String

        private enum CodingKeys: String, CodingKey {
            case messageID = "message_id"
            case subject
            case recipients = "rcpt_tos"
            case acceptedAt = "accepted_at"
        }
    }

    private let file: URL

    package init(path: String) {
        file = URL(fileURLWithPath: path)
    }

    /// Every message so far, oldest first; none if no mail has come yet.
    ///
    /// - Throws: if a line is no message; a last line without its end is still being written and is left out.
    package func read() throws -> [Mail] {
        guard let data = try? Data(contentsOf: file) else { return [] }
        let decoder = JSONDecoder()
        var lines = data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)
        if data.last != UInt8(ascii: "\n") { lines = lines.dropLast() }
        return try lines.map { try decoder.decode(Mail.self, from: Data($0)) }
    }
}
