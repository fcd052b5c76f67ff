import Foundation
import Postgres

/// Where a list that is sorted by a text and then by id goes on.
package struct KeyCursor: Hashable, Sendable {
    package var sort: String
    package var id: String

    package init(sort: String, id: String) {
        self.sort = sort
        self.id = id
    }

    /// Reads what `text` wrote; nil for anything else.
    package init?(text: String) {
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: base64 + padding),
            let parts = try? JSONDecoder().decode([String].self, from: data), parts.count == 2,
            // No column holds it, so a list never ended there.
            !parts.contains(where: { $0.utf8.contains(0) })
        else { return nil }
        self.init(sort: parts[0], id: parts[1])
    }

    /// Opaque to clients; base64url without padding.
    package var text: String {
        let json = (try? JSONEncoder().encode([sort, id])) ?? Data()
        return json.base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

/// One page of such a list.
package struct KeyPage<Item: Sendable>: Sendable {
    package var items: [Item]
    /// Nil on the last page.
    package var next: KeyCursor?

    /// - Parameter rows: one more than `limit`, if there are so many: that tells whether there is a next page.
    init(_ rows: [Item], limit: Int, cursor: (Item) -> KeyCursor) {
        items = Array(rows.prefix(limit))
        next = rows.count > limit ? items.last.map(cursor) : nil
    }
}
