import com.google.googlejavaformat.java.Main;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// Checks or applies google-java-format (AOSP style) on every Java source of the repository; run by
/// Maven at `verify`.
///
/// Generated sources lie under `target`, which is skipped, as are dot folders other than `.ci`.
///
/// Usage: `Format check|apply ROOT`. `check` names the files that differ and exits with 1.
final class Format {
    private Format() {}

    public static void main(String[] args) throws Exception {
        boolean apply = args[0].equals("apply");
        List<String> arguments = new ArrayList<>(List.of("--aosp"));
        arguments.addAll(
                apply ? List.of("--replace") : List.of("--dry-run", "--set-exit-if-changed"));
        arguments.addAll(sources(Path.of(args[1])));

        PrintWriter out = new PrintWriter(System.out, true);
        PrintWriter err = new PrintWriter(System.err, true);
        int exit = new Main(out, err, System.in).format(arguments.toArray(String[]::new));
        if (exit != 0 && !apply) {
            err.println(
                    "The Java sources named above are not formatted; `.ci/format` formats them.");
        }
        System.exit(exit);
    }

    private static List<String> sources(Path root) throws IOException {
        List<String> found = new ArrayList<>();
        try (Stream<Path> children = Files.list(root)) {
            for (Path child : children.sorted().toList()) {
                String name = child.getFileName().toString();
                boolean skipped =
                        name.equals("target") || (name.startsWith(".") && !name.equals(".ci"));
                if (Files.isDirectory(child) && !Files.isSymbolicLink(child) && !skipped) {
                    found.addAll(sources(child));
                } else if (name.endsWith(".java") && Files.isRegularFile(child)) {
                    found.add(child.toString());
                }
            }
        }
        return found;
    }
}
