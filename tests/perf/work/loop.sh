# A shell's own loop: words, arithmetic, functions, case.
add() { total=$((total + $1)); }
total=0 n=0
while [ $n -lt 60000 ]; do
    case $((n % 4)) in
    0) add 1 ;;
    1) add $n ;;
    *) word="x$n" && add ${#word} ;;
    esac
    n=$((n + 1))
done
echo $total
