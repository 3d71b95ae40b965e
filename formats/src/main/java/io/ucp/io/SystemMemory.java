package io.ucp.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/// What this process may still take of the machine's memory, as Linux tells it.
public final class SystemMemory {
    private static final Path MACHINE = Path.of("/proc/meminfo");
    private static final Path GROUP = Path.of("/sys/fs/cgroup");

    private SystemMemory() {}

    /// Bytes that are free or can be freed without swapping, within the limit of the control group;
    /// absent where the system does not tell.
    public static OptionalLong available() {
        try {
            OptionalLong machine = line(MACHINE, "MemAvailable:", 1024);
            OptionalLong limit = number(GROUP.resolve("memory.max"));
            OptionalLong used = number(GROUP.resolve("memory.current"));
            if (machine.isEmpty() || limit.isEmpty() || used.isEmpty()) {
                return machine;
            }
            long cache = line(GROUP.resolve("memory.stat"), "inactive_file", 1).orElse(0);
            long left = Math.max(0, limit.getAsLong() - used.getAsLong() + cache);
            return OptionalLong.of(Math.min(machine.getAsLong(), left));
        } catch (IOException | NumberFormatException e) {
            return OptionalLong.empty();
        }
    }

    private static OptionalLong line(Path file, String name, long unit) throws IOException {
        if (!Files.isReadable(file)) {
            return OptionalLong.empty();
        }
        for (String line : Files.readAllLines(file)) {
            if (line.startsWith(name)) {
                String[] words = line.substring(name.length()).strip().split(" ", 2);
                return OptionalLong.of(Math.multiplyExact(Long.parseLong(words[0]), unit));
            }
        }
        return OptionalLong.empty();
    }

    /// Absent where there is no such file, or `max` in it.
    private static OptionalLong number(Path file) throws IOException {
        if (!Files.isReadable(file)) {
            return OptionalLong.empty();
        }
        String text = Files.readString(file).strip();
        return text.equals("max") ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(text));
    }
}
