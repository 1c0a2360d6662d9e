-- SQLite in memory: inserts, an index, joins, sorting, aggregates.
CREATE TABLE a (id INTEGER PRIMARY KEY, k INTEGER, name TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO a SELECT i, i * 7919 % 1009, 'row ' || (i * 31 % 997) FROM n;
COMMIT;
CREATE INDEX a_k ON a (k);
SELECT count(*), sum(a.id * b.k % 101) FROM a JOIN a AS b ON a.k = b.id;
SELECT name, count(*), sum(k) FROM a GROUP BY name ORDER BY 3 DESC, 1 LIMIT 3;
UPDATE a SET k = k + 1 WHERE id % 3 = 0;
SELECT sum(k), max(name) FROM a WHERE name LIKE '%9%';
