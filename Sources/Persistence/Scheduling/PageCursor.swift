package import Foundation

/// Where a list that is sorted by start and id goes on.
package struct PageCursor: Hashable, Sendable {
    package var startsAt: Date
    package var id: String

    package init(startsAt: Date, id: String) {
        self.startsAt = startsAt
        self.id = id
    }

    /// Reads what `text` wrote.
    ///
    /// - Returns: nil for anything else; the API answers 422 to that.
    package init?(text: String) {
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: base64 + padding), let plain = String(bytes: data, encoding: .utf8),
            let separator = plain.firstIndex(of: ":"), let microseconds = Int64(plain[..<separator])
        else { return nil }
        startsAt = Date(timeIntervalSince1970: Double(microseconds) / 1_000_000)
        id = String(plain[plain.index(after: separator)...])
    }

    /// Opaque to clients; base64url without padding.
    package var text: String {
        let microseconds = Int64((startsAt.timeIntervalSince1970 * 1_000_000).rounded())
        return Data("\(microseconds):\(id)".utf8).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

/// One page of a list.
package struct Page<Item: Sendable>: Sendable {
    package var items: [Item]
    /// Nil on the last page.
    package var next: PageCursor?

    package init(items: [Item], next: PageCursor?) {
        self.items = items
        self.next = next
    }
}

extension Page: Equatable where Item: Equatable {}
