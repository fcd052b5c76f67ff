import Foundation

/// Rows under headings, in columns as wide as they need to be and a whole as wide as the terminal allows.
struct Table {
    private let headings: [String]
    private var rows: [[String]] = []

    init(_ headings: String...) {
        self.headings = headings
    }

    mutating func add(_ cells: String...) {
        rows.append(cells.map { Output.plain($0) })
    }

    /// The table as lines without trailing spaces.
    ///
    /// - Parameter width: the widest line; cells of the widest columns are cut, with an ellipsis, until it fits. Nil
    ///   cuts nothing, as suits a pipe.
    func lines(width: Int? = Terminal.width) -> [String] {
        var widths = headings.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        if let width {
            while widths.reduce(0, +) + 2 * (widths.count - 1) > width, let widest = widths.max(), widest > 8 {
                widths[widths.firstIndex(of: widest) ?? 0] -= 1
            }
        }
        return ([headings] + rows).map { row in
            let cells = zip(row, widths).map { cell, width in
                cell.count > width
                    ? cell.prefix(width - 1) + "…" : cell + String(repeating: " ", count: width - cell.count)
            }
            return cells.joined(separator: "  ").trimmingSuffix(while: \.isWhitespace)
        }
    }

    func print() {
        for line in lines() { Swift.print(line) }
    }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(while matches: (Character) -> Bool) -> String {
        var end = endIndex
        while end > startIndex, matches(self[index(before: end)]) { end = index(before: end) }
        return String(self[..<end])
    }
}
