import java.nio.file.*;
import org.apache.flink.table.api.*;

/** Runs the statements of a file, separated by semicolons, and prints the rows of queries. */
class RunSql {
  public static void main(String[] arguments) throws Exception {
    var environment = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    environment.getConfig().set("parallelism.default", "1");
    for (var statement : Files.readString(Path.of(arguments[0])).split(";")) {
      if (statement.isBlank()) continue;
      var result = environment.executeSql(statement);
      if (statement.strip().startsWith("SELECT")) result.print();
    }
  }
}
