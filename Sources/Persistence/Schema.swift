package import Postgres

/// The database schema that this program was built with.
package enum Schema {
    /// The migrations of the folder `Migrations`, in order.
    ///
    /// - Throws: `invalidMigration`, if a file was embedded that is none.
    package static func migrations() throws(PostgresError) -> [Migration] {
        [
            try Migration(file: "V0001__messaging.sql", contents: PackageResources.V0001__messaging_sql),
            try Migration(file: "V0002__scheduling.sql", contents: PackageResources.V0002__scheduling_sql),
            try Migration(file: "V0003__defaults.sql", contents: PackageResources.V0003__defaults_sql),
            try Migration(file: "V0004__roles.sql", contents: PackageResources.V0004__roles_sql),
            try Migration(file: "V0005__appointments.sql", contents: PackageResources.V0005__appointments_sql),
            try Migration(file: "V0006__letters.sql", contents: PackageResources.V0006__letters_sql),
            try Migration(
                file: "V0007__replay_campaigns.sql", contents: PackageResources.V0007__replay_campaigns_sql),
            try Migration(file: "V0008__runtime.sql", contents: PackageResources.V0008__runtime_sql),
            try Migration(file: "V0009__correlation.sql", contents: PackageResources.V0009__correlation_sql),
            try Migration(
                file: "V0010__dead_letter_role.sql", contents: PackageResources.V0010__dead_letter_role_sql),
            try Migration(file: "V0011__alerts.sql", contents: PackageResources.V0011__alerts_sql),
            try Migration(file: "V0012__last_words.sql", contents: PackageResources.V0012__last_words_sql),
            try Migration(
                file: "V0013__resource_loads.sql", contents: PackageResources.V0013__resource_loads_sql),
            try Migration(file: "V0014__users.sql", contents: PackageResources.V0014__users_sql),
            try Migration(file: "V0015__resources.sql", contents: PackageResources.V0015__resources_sql),
        ]
    }
}
