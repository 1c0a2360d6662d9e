# Perl: hashes, regular expressions, sorting, strings.
use strict;
my (%count, $sum);
my $s = 1;
for my $n (1 .. 120000) {
    $s = ($s * 1103515245 + 12345) & 0x7fffffff;
    my $word = "k" . ($s % 5003) . "v$n";
    $count{$1} += $2 if $word =~ /^k(\d+)v(\d+)$/;
}
for my $k (sort { $count{$a} <=> $count{$b} || $a cmp $b } keys %count) {
    $sum = (($sum // 0) * 31 + $count{$k} + $k) % 1000000007;
}
my $text = join " ", map { $_ * $_ } 1 .. 60000;
$sum += $1 % 97 while $text =~ /\b(\d*7\d*)\b/g;
print "$sum\n";
