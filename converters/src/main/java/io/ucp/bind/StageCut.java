package io.ucp.bind;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// How DeepSpeed cuts the modules of a pipeline into stages: `parts[s]` is the first module of
/// stage `s`, and the last number is that of all modules. Source: DeepSpeed `runtime/utils.py`,
/// `partition_uniform` and `partition_balanced`; `runtime/pipe/module.py`.
final class StageCut {
    private StageCut() {}

    /// Equally many modules a stage; the first stages have one more.
    static List<Integer> uniform(int modules, int stages) {
        List<Integer> parts = new ArrayList<>();
        int each = modules / stages;
        int more = modules % stages;
        for (int s = 0; s <= stages; s++) {
            parts.add(modules <= stages ? Math.min(s, modules) : s * each + Math.min(s, more));
        }
        return parts;
    }

    /// The least difference between the heaviest and the lightest stage that its recurrence finds,
    /// which is not always the least there is. Of equal cuts the last is taken.
    static List<Integer> balanced(List<Long> weights, int stages) {
        int n = weights.size();
        if (n <= stages) {
            return uniform(n, stages);
        }
        double[] sum = new double[n + 1];
        for (int i = 0; i < n; i++) {
            sum[i + 1] = sum[i] + weights.get(i);
        }
        double[][] heaviest = infinite(n, stages);
        double[][] lightest = infinite(n, stages);
        double[][] cost = infinite(n, stages);
        int[][] from = new int[n + 1][stages + 1];
        heaviest[0][0] = 0;
        cost[0][0] = 0;
        for (int i = 1; i <= n; i++) {
            for (int j = 1; j <= Math.min(i, stages); j++) {
                for (int k = 0; k < i; k++) {
                    double last = sum[i] - sum[k];
                    double high = Math.max(heaviest[k][j - 1], last);
                    double low = Math.min(lightest[k][j - 1], last);
                    if (cost[i][j] >= high - low) {
                        cost[i][j] = high - low;
                        heaviest[i][j] = high;
                        lightest[i][j] = low;
                        from[i][j] = k;
                    }
                }
            }
        }
        List<Integer> parts = new ArrayList<>(List.of(n));
        for (int j = stages; j >= 1; j--) {
            parts.addFirst(from[parts.getFirst()][j]);
        }
        return parts;
    }

    private static double[][] infinite(int n, int stages) {
        double[][] table = new double[n + 1][stages + 1];
        for (double[] row : table) {
            Arrays.fill(row, Double.POSITIVE_INFINITY);
        }
        return table;
    }
}
