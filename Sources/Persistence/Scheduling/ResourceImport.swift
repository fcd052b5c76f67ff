package import Domain
import Foundation
import Messaging
package import Postgres

/// Crews, their people, estimators and machines from a file, as `neff resources import` reads it.
///
///     {"resources": [{"kind": "crew", "name": "Crew North", "email": "north@example.com", "skills": ["asphalt"]},
///                    {"kind": "crew_member", "name": "Jo Sample", "crew": "Crew North", "role": "foreman",
///                     "certifications": [{"name": "cdl", "number": "OH-1", "expires_on": "2028-06-30"}],
///                     "shifts": [{"weekday": 1, "from": "06:30", "to": "15:30"}]},
///                    {"kind": "equipment", "name": "Paver 1", "equipment_type": "paver", "status": "in_service"}]}
///
/// `kind` and `name` are needed, and say which resource is meant. Of `email`, `phone`, `calendly_user` (estimators),
/// `equipment_type` (machines, needed there), `skills`, `time_zone` and `active`, what a file leaves out is cleared. Of `yard`
/// (a yard's name), `crew` (a crew's name) and `role` (people of a crew), `status` (machines), `certifications` and `shifts`,
/// what it leaves out stays as it is, so that no import puts a broken machine to work; null clears. Resources that are not
/// in the file stay as they are.
package struct ResourceImport: Hashable, Sendable {
    /// One resource of the file.
    package struct Entry: Hashable, Sendable {
        package var kind: ResourceKind
        package var name: String
        package var email: String?
        package var phone: String?
        package var calendlyUser: String?
        package var equipmentType: String?
        package var skills: [String] = []
        package var timeZone = "America/New_York"
        package var isActive = true
        /// Nil leaves it as it is; so do the next ones. An inner nil clears it.
        package var yard: String??
        package var crew: String??
        package var role: String??
        package var status: EquipmentStatus?
        package var certifications: [Certification]?
        package var shifts: [Shift]?
    }

    /// What is wrong with a file; every fault has its own line.
    package struct Invalid: Error, Hashable, Sendable, CustomStringConvertible {
        package var faults: [String]

        package var description: String { faults.joined(separator: "\n") }
    }

    /// What an import did.
    package struct Summary: Hashable, Sendable {
        package var added = 0
        package var changed = 0
        package var unchanged = 0

        package init(added: Int = 0, changed: Int = 0, unchanged: Int = 0) {
            self.added = added
            self.changed = changed
            self.unchanged = unchanged
        }
    }

    package var entries: [Entry]

    /// Reads a file.
    ///
    /// - Parameter json: at most 10,000 resources.
    package init(json: some Sequence<UInt8>) throws(Invalid) {
        let document: [String: Member]
        do {
            document = try JSONDecoder().decode([String: Member].self, from: Data(json))
        } catch {
            throw Invalid(faults: [#"The file is not a JSON object: {"resources": [...]}."#])
        }
        guard case .entries(let list)? = document["resources"] else {
            throw Invalid(faults: [#"The file must have a list of objects: {"resources": [{...}]}."#])
        }
        guard list.count <= 10_000 else { throw Invalid(faults: ["The file has more than 10000 resources."]) }
        var reader = ResourceReader()
        for key in document.keys.sorted() where key != "resources" { reader.faults.append("\(key): unknown field.") }
        entries = list.enumerated().compactMap { reader.entry($0.element, at: "resources[\($0.offset)]") }
        guard reader.faults.isEmpty else { throw Invalid(faults: reader.faults) }
    }

    /// Adds and changes the resources, all or none. Each change is on record.
    ///
    /// - Throws: `Invalid` for what only the database knows, such as a yard that does not exist; `PostgresError`.
    package func apply(_ note: ChangeNote, in transaction: Transaction) async throws -> Summary {
        var summary = Summary()
        // Crews come before their people.
        for entry in entries.sorted(by: { ($0.kind.rawValue, $0.name) < ($1.kind.rawValue, $1.name) }) {
            do {
                try await apply(entry, note, &summary, in: transaction)
            } catch let problem as Problem {
                let faults = problem.errors.map { "\($0.pointer.dropFirst()): \($0.detail)" }
                throw Invalid(
                    faults: (faults.isEmpty ? [problem.title] : faults).map {
                        "\(entry.kind.rawValue) \(entry.name): \($0)."
                    })
            }
        }
        return summary
    }

    private func apply(
        _ entry: Entry, _ note: ChangeNote, _ summary: inout Summary, in transaction: Transaction
    ) async throws {
        let table = ResourceTable(entry.kind)
        let yard = try await id(of: entry.yard, "yard", in: transaction) {
            try await transaction.query("select id from yards where name = \($0)")
        }
        let crew = try await id(of: entry.crew, "crew", in: transaction) {
            try await transaction.query("select id from resources where kind = 'crew' and name = \($0)")
        }
        func fill(_ record: inout ResourceRecord) {
            record.email = entry.email
            record.phone = entry.phone
            record.calendlyUser = entry.calendlyUser
            record.equipmentType = entry.equipmentType
            if record.skills != nil { record.skills = entry.skills }
            record.timeZone = entry.timeZone
            record.active = entry.isActive
            if let yard { record.yard = yard.flatMap(YardID.init(rawValue:)) }
            if let crew { record.crew = crew.flatMap(ResourceID.init(rawValue:)) }
            if let role = entry.role { record.role = role }
            if let status = entry.status { record.status = status }
            if let certifications = entry.certifications { record.certifications = certifications }
            if let shifts = entry.shifts { record.shifts = shifts }
        }
        let known = try await transaction.query(
            "select id from resources where kind = \(entry.kind.rawValue) and name = \(entry.name)")
        guard let key = try known.first?.decode("id", as: String.self) else {
            // The same resource has the same id in every installation, so files and fixtures can name it.
            let id = ResourceID(digest: MessageID.digest(["resource", entry.kind.rawValue, entry.name]))
            if let renamed = try await table.find(id.rawValue, isLocked: false, in: transaction) {
                throw Problem.validation([
                    .init(pointer: "/name", code: "renamed", detail: "is called \(renamed.name) now; correct the file")
                ])
            }
            var record = ResourceRecord(id: id, kind: entry.kind, name: entry.name, at: note.at)
            fill(&record)
            _ = try await table.create(record, note, in: transaction)
            summary.added += 1
            return
        }
        let before = try await table.current(key, expected: nil, in: transaction)
        let after = try await table.change(key, expected: nil, note, in: transaction) { fill(&$0) }
        if after == before { summary.unchanged += 1 } else { summary.changed += 1 }
    }

    /// The id of what a file names; nil if it names nothing, an inner nil if it clears it.
    private func id(
        of name: String??, _ field: String, in transaction: Transaction, find: (String) async throws -> Rows
    ) async throws -> String?? {
        guard let name else { return nil }
        guard let name else { return .some(nil) }
        guard let row = try await find(name).first else {
            throw Problem.validation([
                .init(pointer: "/" + field, code: "unknown", detail: "there is no \(field) \(name)")
            ])
        }
        return try row.decode("id", as: String.self)
    }
}

/// A member of the file's object.
private enum Member: Decodable {
    case entries([[String: Field]])
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self = (try? container.decode([[String: Field]].self)).map(Member.entries) ?? .other
    }
}

/// A field of a resource as it stands in the file.
private indirect enum Field: Decodable {
    case null
    case flag(Bool)
    case number(Int)
    case text(String)
    case texts([String])
    case objects([[String: Field]])
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Int.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self), !text.utf8.contains(0) {
            self = .text(text)
        } else if let texts = try? container.decode([String].self), !texts.contains(where: { $0.utf8.contains(0) }) {
            self = .texts(texts)
        } else if let objects = try? container.decode([[String: Field]].self) {
            self = .objects(objects)
        } else {
            self = .other
        }
    }
}

/// Turns the members of a file into entries and collects what is wrong with them.
private struct ResourceReader {
    var faults: [String] = []
    private var seen: Set<String> = []

    private static let fields: Set<String> = [
        "kind", "name", "email", "phone", "calendly_user", "equipment_type", "skills", "time_zone", "active", "yard",
        "crew", "role", "status", "certifications", "shifts",
    ]

    mutating func entry(_ fields: [String: Field], at path: String) -> ResourceImport.Entry? {
        let before = faults.count
        for key in fields.keys.sorted() where !Self.fields.contains(key) {
            faults.append("\(path).\(key): unknown field; known are \(Self.fields.sorted().joined(separator: ", ")).")
        }
        let kind = text("kind", of: fields, at: path).flatMap(ResourceKind.init(rawValue:))
        let kinds = ResourceKind.allCases.map(\.rawValue).joined(separator: ", ")
        if kind == nil { faults.append("\(path).kind: must be one of \(kinds).") }
        let name = text("name", of: fields, at: path)?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        if name.isEmpty || name.count > 200 { faults.append("\(path).name: must have 1 to 200 characters.") }
        var entry = ResourceImport.Entry(kind: kind ?? .crew, name: name)
        entry.email = text("email", of: fields, at: path)
        entry.phone = text("phone", of: fields, at: path)
        entry.calendlyUser = text("calendly_user", of: fields, at: path)
        entry.equipmentType = text("equipment_type", of: fields, at: path)
        entry.timeZone = text("time_zone", of: fields, at: path) ?? entry.timeZone
        switch fields["skills"] {
        case .texts(let skills)?: entry.skills = Set(skills).sorted()
        case .null?, nil: break
        default: faults.append("\(path).skills: must be a list of texts.")
        }
        switch fields["active"] {
        case .flag(let isActive)?: entry.isActive = isActive
        case nil: break
        default: faults.append("\(path).active: must be true or false.")
        }
        readDetails(of: &entry, from: fields, at: path)
        if SiteClock(identifier: entry.timeZone) == nil {
            faults.append("\(path).time_zone: there is no zone \(entry.timeZone); use an IANA name.")
        }
        if let email = entry.email, !email.contains("@") || email.contains(where: \.isWhitespace) {
            faults.append("\(path).email: is not an address.")
        }
        if let kind, (kind == .equipment) != (entry.equipmentType != nil) {
            faults.append("\(path).equipment_type: machines need it, and nobody else has it.")
        }
        if let kind, !name.isEmpty, !seen.insert("\(kind.rawValue)/\(name)").inserted {
            faults.append("\(path).name: the file has this \(kind.rawValue) twice.")
        }
        return faults.count == before ? entry : nil
    }

    /// What stays as it is where the file says nothing.
    private mutating func readDetails(
        of entry: inout ResourceImport.Entry, from fields: [String: Field], at path: String
    ) {
        if fields["yard"] != nil { entry.yard = .some(text("yard", of: fields, at: path)) }
        if fields["crew"] != nil { entry.crew = .some(text("crew", of: fields, at: path)) }
        if fields["role"] != nil { entry.role = .some(text("role", of: fields, at: path)) }
        if fields["status"] != nil {
            entry.status = text("status", of: fields, at: path).flatMap(EquipmentStatus.init(rawValue:))
            let known = EquipmentStatus.allCases.map(\.rawValue).joined(separator: ", ")
            if entry.status == nil { faults.append("\(path).status: must be one of \(known).") }
        }
        entry.certifications = objects("certifications", of: fields, at: path) { reader, fields, path in
            let name = reader.text("name", of: fields, at: path) ?? ""
            if name.isEmpty { reader.faults.append("\(path).name: is needed.") }
            let expiry = reader.text("expires_on", of: fields, at: path)
            let day = expiry.flatMap { LocalDay($0) }
            if expiry != nil, day == nil { reader.faults.append("\(path).expires_on: must be a day, as 2027-03-14.") }
            return Certification(
                name: name, number: reader.text("number", of: fields, at: path), expiresOn: day)
        }
        entry.shifts = objects("shifts", of: fields, at: path) { reader, fields, path in
            var weekday = 0
            if case .number(let number)? = fields["weekday"] { weekday = number }
            let from = reader.text("from", of: fields, at: path).flatMap { LocalTime($0) }
            let to = reader.text("to", of: fields, at: path).flatMap { LocalTime($0) }
            guard (1...7).contains(weekday), let from, let to, from != to else {
                reader.faults.append(
                    "\(path): must have a weekday from 1 (Monday) to 7, and different times from and to, as 07:00.")
                return nil
            }
            return Shift(weekday: weekday, from: from, to: to)
        }
        let isMember = entry.kind == .crewMember
        let isMachine = entry.kind == .equipment
        if !isMember, fields["crew"] != nil || fields["role"] != nil {
            faults.append("\(path).crew, role: only the people of a crew have them.")
        }
        if !isMachine, fields["status"] != nil { faults.append("\(path).status: only machines have one.") }
        if isMachine, fields["certifications"] != nil || fields["shifts"] != nil {
            faults.append("\(path).certifications, shifts: machines have none; plan a maintenance instead.")
        }
    }

    private mutating func objects<Value>(
        _ key: String, of fields: [String: Field], at path: String,
        read: (inout ResourceReader, [String: Field], String) -> Value?
    ) -> [Value]? {
        switch fields[key] {
        case nil: return nil
        case .null?: return []
        case .texts(let texts)? where texts.isEmpty: return []
        case .objects(let objects)?:
            return objects.enumerated().compactMap { read(&self, $0.element, "\(path).\(key)[\($0.offset)]") }
        default:
            faults.append("\(path).\(key): must be a list of objects.")
            return nil
        }
    }

    private mutating func text(_ key: String, of fields: [String: Field], at path: String) -> String? {
        switch fields[key] {
        case .text(let text)?: return text
        case .null?, nil: return nil
        default:
            faults.append("\(path).\(key): must be text.")
            return nil
        }
    }
}
