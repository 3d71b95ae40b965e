import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Says in one line how much of the code the tests ran, and where JaCoCo's report lies; run by
/// Maven at `verify`.
///
/// Usage: `Coverage REPORT`, the folder with `jacoco.csv` and `index.html`.
final class Coverage {
    private static final String COLUMNS =
            "GROUP,PACKAGE,CLASS,INSTRUCTION_MISSED,INSTRUCTION_COVERED,BRANCH_MISSED,BRANCH_COVERED,LINE_MISSED,LINE_COVERED";

    private Coverage() {}

    public static void main(String[] args) throws IOException {
        Path report = Path.of(args[0]);
        Path table = report.resolve("jacoco.csv");
        if (!Files.exists(table)) {
            System.out.println("Coverage: no report, because no tests ran");
            return;
        }
        List<String> lines = Files.readAllLines(table);
        if (!lines.getFirst().startsWith(COLUMNS)) {
            throw new IOException(table + " has other columns than expected: " + lines.getFirst());
        }
        List<String[]> rows = lines.stream().skip(1).map(line -> line.split(",", -1)).toList();
        System.out.printf(
                "Coverage: %s of lines, %s of branches; see %s%n",
                share(rows, 7), share(rows, 5), report.resolve("index.html"));
    }

    /// The share of the counter whose missed ones are in `column`, the covered ones in the next.
    private static String share(List<String[]> rows, int column) {
        long missed = rows.stream().mapToLong(row -> Long.parseLong(row[column])).sum();
        long covered = rows.stream().mapToLong(row -> Long.parseLong(row[column + 1])).sum();
        return missed + covered == 0
                ? "none"
                : Math.round(100.0 * covered / (missed + covered)) + " %";
    }
}
