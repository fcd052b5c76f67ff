/// Rows with aligned columns, for a terminal.
package struct Table: Sendable, CustomStringConvertible {
    private let rows: [[String]]

    /// Makes a table; every row is as long as the header.
    package init(_ header: [String], _ rows: [[String]]) {
        self.rows = [header] + rows
    }

    package var description: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
        .joined(separator: "\n")
    }
}
