import CLibPQ

/// Owns a `PGresult`; what callers see is copied out of it.
struct ResultHandle: ~Copyable {
    let raw: OpaquePointer

    deinit {
        PQclear(raw)
    }

    var status: ExecStatusType { PQresultStatus(raw) }

    func error() -> PostgresError { Self.error(of: raw) }

    /// Copies every field into one array of bytes.
    func rows() -> Rows {
        let columnCount = PQnfields(raw)
        let rowCount = PQntuples(raw)
        let affected = Int(String(cString: PQcmdTuples(raw))) ?? 0
        let command = String(cString: PQcmdStatus(raw)).prefix { $0.isUppercase || $0 == " " }
        let tag = String(command.last == " " ? command.dropLast() : command)
        guard columnCount > 0 else { return Rows(affectedRows: affected, command: tag) }

        var names: [String] = []
        var types: [PostgresType] = []
        for column in 0..<columnCount {
            names.append(String(cString: PQfname(raw, column)))
            types.append(PostgresType(rawValue: PQftype(raw, column)))
        }
        var bytes: [UInt8] = []
        var ends: [Int] = []
        ends.reserveCapacity(Int(rowCount) * Int(columnCount))
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                if PQgetisnull(raw, row, column) == 1 {
                    ends.append(~bytes.count)
                } else {
                    let field = UnsafeRawBufferPointer(
                        start: PQgetvalue(raw, row, column), count: Int(PQgetlength(raw, row, column)))
                    bytes.append(contentsOf: field)
                    ends.append(bytes.count)
                }
            }
        }
        let storage = Rows.Storage(names: names, types: types, bytes: bytes, ends: ends, count: Int(rowCount))
        return Rows(storage: storage, affectedRows: affected, command: tag)
    }

    /// The error or notice that a result reports.
    static func error(of raw: OpaquePointer) -> PostgresError {
        func field(_ character: Unicode.Scalar) -> String? {
            PQresultErrorField(raw, CInt(character.value)).map { String(cString: $0) }
        }
        // The letters are the protocol's ("Error and Notice Message Fields"); V is the severity that is never translated.
        guard let state = field("C") else {
            return PostgresError(.connectionLost, firstLine(PQresultErrorMessage(raw)))
        }
        let report = PostgresError.Report(
            severity: field("V") ?? field("S") ?? "", message: field("M") ?? "", detail: field("D"), hint: field("H"),
            function: field("R"))
        var error = PostgresError(report: report, sqlState: SQLState(rawValue: state))
        error.constraint = field("n")
        error.table = field("t")
        error.column = field("c")
        return error
    }

    private static func firstLine(_ message: UnsafePointer<CChar>?) -> String {
        guard let message else { return "the connection broke" }
        return String(cString: message).split(separator: "\n").first.map(String.init) ?? "the connection broke"
    }
}
