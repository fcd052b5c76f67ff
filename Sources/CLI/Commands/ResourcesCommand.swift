import ArgumentParser
import Domain
import Foundation
import Persistence
import Postgres
import Transport

struct ResourcesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resources", abstract: "Estimators, crews and machines: who and what can be booked.",
        subcommands: [Import.self, List.self])

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add or change resources from a JSON file, all or none.",
            discussion: """
                {"resources": [
                  {"kind": "estimator", "name": "Estimator East", "email": "...", "calendly_user": "https://api.calendly.com/users/..."},
                  {"kind": "crew", "name": "Crew North", "email": "...", "skills": ["asphalt"]},
                  {"kind": "crew_member", "name": "Jo Sample", "crew": "Crew North", "role": "foreman",
                   "certifications": [{"name": "cdl", "number": "OH-1", "expires_on": "2028-06-30"}],
                   "shifts": [{"weekday": 1, "from": "06:30", "to": "15:30"}]},
                  {"kind": "equipment", "name": "Paver 1", "equipment_type": "paver", "status": "available", "yard": "Main"}
                ]}

                A resource is known by its kind and name. Resources that the file does not mention stay as they are. Of a \
                resource in it, the yard, crew, role, status, certifications and shifts stay too where the file does not \
                mention them; everything else that it leaves out is cleared.
                """)

        @Argument(help: "The file.") var file: String
        @OptionGroup var who: OperatorOptions

        func run() async throws {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw Failure(.data, "\(file) cannot be read")
            }
            let resources: ResourceImport
            do {
                resources = try ResourceImport(json: data)
            } catch {
                throw Failure(.data, "\(file):\n\(error)")
            }
            for entry in resources.entries {
                guard let email = entry.email, (try? Mailbox(address: email)) == nil else { continue }
                throw Failure(
                    .data, "\(file): no mail can be sent to the email of \(entry.kind.rawValue) \(entry.name)")
            }
            let note = ChangeNote(actor: who.actor, source: .bulkImport, at: Date())
            let summary: ResourceImport.Summary
            do {
                summary = try await Database.with("resources") { pool in
                    try await pool.withTransaction { transaction in try await resources.apply(note, in: transaction) }
                }
            } catch let error as ResourceImport.Invalid {
                throw Failure(.data, "\(file):\n\(error)")
            }
            print("\(summary.added) added, \(summary.changed) changed, \(summary.unchanged) unchanged")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List resources.")

        func run() async throws {
            let rows = try await Database.with("resources") { pool in
                try await pool.query(
                    """
                    select id, kind, name, email, equipment_type, active from resources order by kind, name limit 1000
                    """)
            }
            var table = Table("ID", "KIND", "NAME", "MAIL OR TYPE", "ACTIVE")
            for row in rows {
                let email: String? = try row["email"]
                let type: String? = try row["equipment_type"]
                table.add(
                    try row["id"], try row["kind"], try row["name"], email ?? type ?? "",
                    try row.decode("active", as: Bool.self) ? "yes" : "no")
            }
            table.print()
        }
    }
}
