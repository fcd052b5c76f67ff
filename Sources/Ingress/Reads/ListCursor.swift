package import Foundation

/// A place in a list that is sorted by start and id. Callers get it as opaque text.
package struct ListCursor: Hashable, Sendable {
    /// Microseconds since 1970, which is all that the database keeps of an instant.
    package var startMicroseconds: Int64
    package var id: String

    package init(startsAt: Date, id: String) {
        // Dates of our time carry microseconds with room to spare, so rounding restores them.
        startMicroseconds = Int64((startsAt.timeIntervalSince1970 * 1_000_000).rounded())
        self.id = id
    }

    package var startsAt: Date { Date(timeIntervalSince1970: Double(startMicroseconds) / 1_000_000) }

    /// URL-safe base64 (RFC 4648 section 5) without padding.
    package var text: String {
        Data("\(startMicroseconds)|\(id)".utf8).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// - Returns: nil if the text was not made by `text`.
    package init?(_ text: String) {
        guard text.utf8.count <= 200 else { return nil }
        var base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        base64 += String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: base64), let plain = String(validating: data, as: UTF8.self) else {
            return nil
        }
        let parts = plain.split(separator: "|", maxSplits: 1)
        guard parts.count == 2, let microseconds = Int64(parts[0]), abs(microseconds) < 1 << 53,
            parts[1].utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        startMicroseconds = microseconds
        id = String(parts[1])
    }
}
