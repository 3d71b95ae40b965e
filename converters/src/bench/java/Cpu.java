import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// CPU seconds so far.
///
/// @param user the process's own; `system` the kernel's for it
record Cpu(double user, double system) {
    /// Clock ticks a second, as Linux counts for /proc on every machine.
    private static final double TICKS = 100;

    /// Of this process.
    static Cpu own() throws IOException {
        return at(11);
    }

    /// Of its children that were waited for.
    static Cpu children() throws IOException {
        return at(13);
    }

    /// @param field number behind the name, as in proc_pid_stat(5)
    private static Cpu at(int field) throws IOException {
        String stat = Files.readString(Path.of("/proc/self/stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return new Cpu(
                Long.parseLong(fields[field]) / TICKS, Long.parseLong(fields[field + 1]) / TICKS);
    }

    Cpu since(Cpu start) {
        return new Cpu(user - start.user, system - start.system);
    }

    double both() {
        return user + system;
    }
}
